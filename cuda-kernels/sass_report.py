#!/usr/bin/env python3
"""What ptxas makes of the kernels, without a GPU: registers, shared memory, spills, and the busiest loop of each.

    cuda-kernels/sass_report.py            writes SASS.md
    cuda-kernels/sass_report.py --check    fails on a spill, on a kernel above its ceiling, or when SASS.md is out of date

Run after make-ptx.sh, which fetches ptxas; the disassembler comes from PyPI, pinned, once.
"""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = HERE.parent / "target/tools/nvcc"
NVDISASM = "nvidia-cuda-nvdisasm==13.2.51"
ARCHITECTURES = (80, 90, 100)
# Registers of two blocks and bytes of static shared memory, at most: what lets two blocks share a multiprocessor of any of
# these architectures, and 48 KiB, what a kernel may have without asking.
MAX_REGISTERS, MAX_SHARED = 65536, 48 * 1024
# Of the convolutions' inner loop on sm_90, at least: multiply-adds among all instructions.
MIN_FFMA_SHARE = 0.75
OPCODE = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\d+\s+)?([A-Z0-9_.]+)")


def tool(name):
    found = sorted(TOOLS.glob(f"lib/python3*/site-packages/nvidia/cu13/bin/{name}"))
    if not found and name == "nvdisasm":
        subprocess.run([TOOLS / "bin/pip", "install", "--quiet", "--disable-pip-version-check", NVDISASM], check=True)
        return tool(name + "*")
    return found[0]


def assemble(ptx, architecture, cubin):
    """Resources per kernel: (registers, bytes of shared memory, bytes spilled)."""
    command = [tool("ptxas"), "-v", f"-arch=sm_{architecture}", ptx, "-o", cubin]
    log = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    resources = {}
    for name, body in re.findall(r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry|\Z)", log, re.S):
        spilled = sum(map(int, re.findall(r"(\d+) bytes spill", body)))
        shared = re.search(r"(\d+) bytes smem", body)
        resources[name] = (int(re.search(r"Used (\d+) registers", body)[1]), int(shared[1]) if shared else 0, spilled)
    return resources


def busiest(body):
    """Opcodes of the stretch between two labels that multiplies and adds most: the inner loop. An HMMA does it for a warp on
    tensor cores, 32 multiply-adds a thread."""
    stretches = [OPCODE.findall(stretch) for stretch in re.split(r"^\.L_x_\d+:", body, flags=re.M)]
    sums = lambda opcodes: sum(32 * o.startswith("HMMA") + o.startswith("FFMA") for o in opcodes)
    return max(stretches, key=lambda opcodes: (sums(opcodes), len(opcodes)))


def row(name, resources, body):
    registers, shared, spilled = resources
    everything, loop = collections.Counter(OPCODE.findall(body)), collections.Counter(busiest(body))
    count = lambda counter, start, part="": sum(n for o, n in counter.items() if o.startswith(start) and part in o)
    ffma, hmma, total = count(loop, "FFMA"), count(loop, "HMMA"), sum(loop.values())
    share = max(ffma, hmma) / max(total, 1)
    wide = f"{count(everything, 'LDG', '.128')} of {count(everything, 'LDG')}"
    lds = f"{count(loop, 'LDS', '.128')} of {count(loop, 'LDS')}"
    cells = [f"`{name}`", registers, shared, spilled, total, ffma, hmma, f"{share:.2f}", lds, wide]
    return cells, share


def report():
    faults, lines = [], [
        "# What ptxas makes of the kernels",
        "Made by `sass_report.py` from the checked-in PTX; `.ci/run` compares. The inner loop is the",
        "stretch between two labels with most multiply-adds (FFMA) or products on tensor cores (HMMA, 32 multiply-adds a",
        "thread); share is that of the more frequent of the two. For kernels without, the numbers say little. Loads: from",
        "shared memory in that loop, from device memory in the whole kernel, 128 bits wide of all.",
    ]
    head = "| kernel | registers | shared bytes | spilled | loop | FFMA | HMMA | share | shared loads | device loads |"
    for architecture in ARCHITECTURES:
        lines += ["", f"## sm_{architecture}", head, "|---" * head.count(" | ") + "|---|"]
        for ptx in sorted((HERE / "ptx").glob("*.ptx")):
            with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
                resources = assemble(ptx, architecture, cubin.name)
                sass = subprocess.run([tool("nvdisasm"), "-c", cubin.name], check=True, capture_output=True, text=True).stdout
            threads = {name: int(n) for name, n in re.findall(r"\.entry (\w+)\(.*?\.maxntid (\d+)", ptx.read_text(), re.S)}
            for name, body in re.findall(r"^\.text\.(\w+):\n(.*?)(?=^//-{5,}|\Z)", sass, re.S | re.M):
                cells, share = row(name, resources[name], body)
                lines.append("| " + " | ".join(map(str, cells)) + " |")
                registers, shared, spilled = resources[name]
                if spilled or 2 * threads[name] * registers > MAX_REGISTERS or shared > MAX_SHARED:
                    faults.append(f"sm_{architecture} {name}: {registers} registers, {shared} bytes shared, {spilled} spilled")
                if architecture == 90 and name in ("conv_same", "conv_down", "conv_up_vjp") and share < MIN_FFMA_SHARE:
                    faults.append(f"sm_90 {name}: only {share:.2f} of the inner loop are multiply-adds")
    return "\n".join(lines) + "\n", faults


def main():
    text, faults = report()
    path = HERE / "SASS.md"
    if "--check" not in sys.argv:
        path.write_text(text)
    elif path.read_text() != text:
        faults.append("SASS.md is out of date: run cuda-kernels/sass_report.py")
    print("\n".join(faults) or "no spills, all kernels under their ceilings")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
