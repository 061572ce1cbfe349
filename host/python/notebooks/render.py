#!/usr/bin/env python3
"""Run first_look.ipynb, and write what it shows as a page: host/docs/first_look.md, with its pictures beside it.

    pip install nbclient ipykernel      and what the notebook compares with; what is not there is left out of the page
    host/python/notebooks/render.py
"""
import base64
import pathlib
import textwrap

import nbformat
from nbclient import NotebookClient

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "first_look.md"
COLUMNS = 116


def shown(output, name):
    """What an output looks like on the page; a picture becomes a file of that name."""
    data = output.get("data", {})
    if "image/png" in data:
        (PAGE.parent / name).write_bytes(base64.b64decode(data["image/png"]))
        return f"![what these lines draw]({name})"
    text = output.get("text") or data.get("text/plain", "")
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, COLUMNS) or [""]]
    return textwrap.indent("\n".join(lines), "    ")


def main():
    notebook = nbformat.read(HERE / "first_look.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(HERE)}}).execute()
    parts = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        parts += [shown(output, f"first_look_{number}_{k}.png") for k, output in enumerate(cell.outputs)]
    parts.insert(1, "[The notebook](../python/notebooks/first_look.ipynb), as `render.py` beside it has run it.")
    lines = "\n\n".join(parts).split("\n")
    is_text = [line[:1] not in (" ", "#", "!", "`") for line in lines]
    wrapped = [textwrap.fill(line, 120) if is_one else line for line, is_one in zip(lines, is_text)]
    PAGE.write_text("\n".join(wrapped) + "\n")


if __name__ == "__main__":
    main()
