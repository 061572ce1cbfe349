//! Settings of a method, from keywords.

use gradus::reconstruct::Settings;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use toml::{Table, Value};

/// A value as a file would have it.
fn value(field: &str, given: &Bound<'_, PyAny>) -> PyResult<Value> {
    // True and False are integers of Python, too.
    if let Ok(flag) = given.extract::<bool>() {
        Ok(Value::Boolean(flag))
    } else if let Ok(whole) = given.extract::<i64>() {
        Ok(Value::Integer(whole))
    } else if let Ok(number) = given.extract::<f64>() {
        Ok(Value::Float(number))
    } else if let Ok(text) = given.extract::<String>() {
        Ok(Value::String(text))
    } else if let Ok(nested) = given.cast::<PyDict>() {
        table(nested).map(Value::Table)
    } else {
        let kind = given.get_type();
        Err(PyTypeError::new_err(format!("{field} is a {kind}; give a number, a flag, a name or a dict of these")))
    }
}

/// A table as a file would have it; `None` leaves a field out.
fn table(given: &Bound<'_, PyDict>) -> PyResult<Table> {
    let mut table = Table::new();
    for (field, item) in given {
        let field: String = field.extract()?;
        if !item.is_none() {
            let item = value(&field, &item)?;
            table.insert(field, item);
        }
    }
    Ok(table)
}

/// The settings of `method`, with those fields of its table in `run.toml` that are given.
///
/// # Errors
/// In the words of the command line: a field that the method does not read, or a value that it cannot have.
pub fn settings(method: &str, given: Option<&Bound<'_, PyDict>>) -> PyResult<Settings> {
    let mut table = given.map_or_else(|| Ok(Table::new()), table)?;
    table.insert("method".to_owned(), Value::String(method.to_owned()));
    Settings::try_from(table).map_err(|error| PyValueError::new_err(error.to_string()))
}
