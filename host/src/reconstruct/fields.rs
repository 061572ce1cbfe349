//! Settings field by field: none is taken that the method does not read.

use super::{Method, Settings};
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Fields of older files, and what to write in their place.
const MOVED: [(&str, &str); 3] = [
    ("device", "write it beside `input`, before the tables"),
    ("precision", "write it beside `input`, before the tables"),
    (Method::Solved.name(), "write its fields beside `method`"),
];

/// Reasons to refuse a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The method does not read it, others do.
    #[error("method {method} does not read `{field}`, which is for {}", list(.readers))]
    NotRead {
        /// Its name.
        field: String,
        /// The method.
        method: Method,
        /// Those that read it.
        readers: Vec<Method>,
    },
    /// It was a field of an earlier version.
    #[error("`{field}` is not here any more; {instead}")]
    Moved {
        /// Its name.
        field: &'static str,
        /// The remedy.
        instead: &'static str,
    },
    /// No method reads it.
    #[error("there is no field `{0}`")]
    Unknown(String),
    /// A value cannot be understood.
    #[error("{0}")]
    Invalid(String),
}

/// `a, b and c`.
fn list(methods: &[Method]) -> String {
    let names: Vec<String> = methods.iter().map(Method::to_string).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    }
}

impl TryFrom<Table> for Settings {
    type Error = FieldError;

    fn try_from(mut table: Table) -> Result<Self, FieldError> {
        let method = table.remove("method").map_or_else(|| Ok(Method::default()), parsed)?;
        if let Some(&(field, instead)) = MOVED.iter().find(|(field, _)| table.contains_key(*field)) {
            return Err(FieldError::Moved { field, instead });
        }
        strict(method, table)?.map_err(|(field, value)| refused(method, field, &value))
    }
}

impl Settings {
    /// The same settings with one field set; the name of a field in a table has a point in it.
    ///
    /// # Errors
    /// When the method does not read it, or it cannot be understood.
    pub fn with(&self, field: &str, value: Value) -> Result<Self, FieldError> {
        Self::try_from(inserted(self, field, value)?)
    }
}

/// The fields of settings with one set.
fn inserted(settings: &Settings, field: &str, value: Value) -> Result<Table, FieldError> {
    let mut table = fields(settings)?;
    let (place, last) = match field.split_once('.') {
        Some((name, last)) => match table.get_mut(name).and_then(Value::as_table_mut) {
            Some(inner) => (inner, last),
            None => return Err(FieldError::Unknown(name.to_owned())),
        },
        None => (&mut table, field),
    };
    place.insert(last.to_owned(), value);
    Ok(table)
}

/// The settings of a method, or else the first field that it does not read.
fn strict(method: Method, table: Table) -> Result<Result<Settings, (String, Value)>, FieldError> {
    let alone = |(name, value): (&String, &Value)| {
        let cause = read(method, Table::from_iter([(name.clone(), value.clone())])).err()?;
        Some(FieldError::Invalid(format!("`{name}`: {cause}")))
    };
    let settings = read(method, table.clone()).map_err(|error| table.iter().find_map(alone).unwrap_or(error))?;
    Ok(unread(&table, &fields(&settings)?).map_or(Ok(settings), Err))
}

fn parsed<T: DeserializeOwned>(value: impl Into<Value>) -> Result<T, FieldError> {
    value.into().try_into().map_err(|error: toml::de::Error| FieldError::Invalid(error.message().to_owned()))
}

/// The settings of a method, whatever else the table holds.
fn read(method: Method, table: Table) -> Result<Settings, FieldError> {
    Ok(match method {
        Method::Solved => Settings::Solved(parsed(table)?),
        Method::GradientLike => Settings::GradientLike(parsed(table)?),
        Method::Flow => Settings::Flow(parsed(table)?),
        Method::GradientDescent => Settings::GradientDescent(parsed(table)?),
        Method::Dds => Settings::Dds(parsed(table)?),
        Method::DiffPir => Settings::DiffPir(parsed(table)?),
        Method::Fbp => Settings::Fbp(parsed(table)?),
        Method::Tv => Settings::Tv(parsed(table)?),
    })
}

fn fields(settings: &Settings) -> Result<Table, FieldError> {
    Table::try_from(settings).map_err(|error| FieldError::Invalid(error.to_string()))
}

/// A field that is in the one table and not in the other, with its value.
fn unread(given: &Table, read: &Table) -> Option<(String, Value)> {
    given.iter().find_map(|(name, value)| match (value, read.get(name)) {
        (Value::Table(given), Some(Value::Table(read))) => {
            unread(given, read).map(|(inner, value)| (format!("{name}.{inner}"), value))
        }
        (_, Some(_)) => None,
        (_, None) => Some((name.clone(), value.clone())),
    })
}

fn refused(method: Method, field: String, value: &Value) -> FieldError {
    let reads = |other: &Method| {
        let table = inserted(&(*other).into(), &field, value.clone());
        table.and_then(|table| strict(*other, table)).is_ok_and(|settings| settings.is_ok())
    };
    let readers: Vec<Method> = Method::ALL.into_iter().filter(reads).collect();
    if readers.is_empty() { FieldError::Unknown(field) } else { FieldError::NotRead { field, method, readers } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_survives_its_table() {
        for method in Method::ALL {
            let settings = Settings::from(method);
            assert_eq!(settings.method(), method);
            let text = toml::to_string(&settings).unwrap();
            assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings, "{text}");
        }
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
    }

    #[test]
    fn a_field_is_set_where_it_is_read_and_nowhere_else() {
        let flow = Settings::from(Method::Flow).with("constant_step", Value::Float(0.5)).unwrap();
        assert!(matches!(&flow, Settings::Flow(settings) if settings.constant_step == Some(0.5)));
        let searched = flow.with("line_search.max_trials", Value::Integer(3)).unwrap();
        assert!(matches!(&searched, Settings::Flow(s) if s.graduated.line_search.backtracking.max_trials == 3));
        let refused = |settings: &Settings, field, value| settings.with(field, value).unwrap_err().to_string();
        let step = refused(&Settings::from(Method::Tv), "constant_step", Value::Float(0.5));
        assert_eq!(step, "method tv does not read `constant_step`, which is for flow");
        let factor = refused(&Settings::default(), "line_search.factor", Value::Float(2.0));
        assert!(factor.ends_with("which is for gradient-like, flow and gradient-descent"), "{factor}");
        assert_eq!(refused(&flow, "alhpa", Value::Float(1.0)), "there is no field `alhpa`");
        assert!(refused(&flow, "seed", Value::Integer(-1)).contains("seed"));
    }

    #[test]
    fn older_fields_are_refused_with_what_to_write() {
        let table = format!("[{}]\nsteps = 3", Method::Solved);
        for (text, word) in [(table, "beside `method`"), ("device = \"cpu\"".to_owned(), "`input`")] {
            let error = toml::from_str::<Settings>(&text).unwrap_err();
            assert!(error.message().contains(word), "{error}");
        }
    }
}
