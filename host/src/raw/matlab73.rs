//! MATLAB's files, version 7.3: HDF5 whose groups are structs.
//!
//! An array's axes are stored in reverse, so that its numbers lie as MATLAB has them, first axis fastest; a text is an
//! array of character codes with the attribute `MATLAB_class`.
use super::matlab::{Array, Value};
use super::stored::Bytes;
use crate::data::file_error::Cause;
use crate::data::hdf5::{Hdf5, Numbers};
use hdf5_pure::Group;

/// Structs in structs.
const DEEPEST: usize = 16;
/// Arrays and structs of a file: links may lead in circles.
const MOST: usize = 10_000;

/// The variables of a file, as the fields of a struct.
pub(super) fn read(file: &Hdf5) -> Result<Value, Cause> {
    structure(file, &file.root(), 0, &mut 0)
}

fn structure(file: &Hdf5, group: &Group, depth: usize, count: &mut usize) -> Result<Value, Cause> {
    if depth > DEEPEST {
        return Err(format!("structs are more than {DEEPEST} deep").into());
    }
    let mut fields = Vec::new();
    for (name, numbers) in file.arrays(group)? {
        fields.push((name, value(&numbers)?));
    }
    *count += fields.len() + 1;
    if *count > MOST {
        return Err(format!("it holds more than {MOST} arrays").into());
    }
    // `#refs#` and the like hold what cells refer to.
    for name in group.groups()?.into_iter().filter(|name| !name.starts_with('#')) {
        let inner = structure(file, &group.group(&name)?, depth + 1, count)?;
        fields.push((name, inner));
    }
    Ok(Value::Struct(fields))
}

fn value(numbers: &Numbers) -> Result<Value, Cause> {
    match numbers.attribute("MATLAB_class").as_deref() {
        Some("char") => {
            let codes = numbers.values()?.into_iter().map(|code| char::from_u32(code as u32));
            Ok(Value::Text(codes.map(|code| code.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()))
        }
        Some("cell" | "struct" | "function_handle") => Ok(Value::Other("a cell array")),
        _ => {
            let shape = numbers.shape.iter().rev().copied().collect();
            Ok(numbers.values().map_or(Value::Other("no numbers"), |values| {
                Value::Numbers(Array { shape, numbers: Bytes::of_doubles(&values) })
            }))
        }
    }
}
