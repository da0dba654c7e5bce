//! JSON that obeys its caller: ordered members, doubled keys, any text as a value.
//!
//! A value is found by its JSON pointer (RFC 6901, without escapes, which Intel's names do not need).

/// A JSON value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Json {
    /// A number.
    Number(u64),
    /// A string; quotation marks and backslashes are escaped.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object, in order; the same key may occur twice.
    Object(Vec<(String, Self)>),
    /// Written as it is, such as `null`, `1.5` or something that is no JSON.
    Raw(String),
}

/// How a value is laid out as text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Style {
    /// Without any space, as Intel's service does.
    #[default]
    Compact,
    /// With spaces, tabs and line ends wherever they may be.
    Spaced,
}

impl Json {
    /// A string.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Bytes in upper-case hexadecimal, as Intel's service writes them.
    #[must_use]
    pub fn hex(bytes: &[u8]) -> Self {
        Self::Text(hex::encode_upper(bytes))
    }

    pub(super) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The text.
    #[must_use]
    pub fn write(&self, style: Style) -> String {
        let (gap, line) = match style {
            Style::Compact => ("", ""),
            Style::Spaced => (" ", "\r\n\t"),
        };
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            Self::Raw(text) => text.clone(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| item.write(style)).collect();
                format!("[{line}{}{gap}]", items.join(&format!("{gap},{gap}")))
            }
            Self::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\"{gap}:{gap}{}", value.write(style)));
                format!("{{{line}{}{gap}}}", members.collect::<Vec<_>>().join(&format!("{gap},{line}")))
            }
        }
    }

    /// The value at a pointer, such as `/tcbLevels/0/tcbStatus`; the empty pointer is the whole.
    #[must_use]
    pub fn at(&mut self, pointer: &str) -> Option<&mut Self> {
        let Some(path) = pointer.strip_prefix('/') else {
            return pointer.is_empty().then_some(self);
        };
        path.split('/').try_fold(self, Self::child)
    }

    /// Pointers to all values, outer before inner.
    #[must_use]
    pub fn pointers(&self) -> Vec<String> {
        let children: Vec<(String, &Self)> = match self {
            Self::Number(_) | Self::Text(_) | Self::Raw(_) => Vec::new(),
            Self::List(items) => (0..).zip(items).map(|(at, item)| (format!("/{at}"), item)).collect(),
            Self::Object(members) => {
                members.iter().map(|(name, value)| (format!("/{name}"), value)).collect()
            }
        };
        let below = children.into_iter().flat_map(|(step, child)| {
            let deeper: Vec<String> =
                child.pointers().iter().map(|pointer| format!("{step}{pointer}")).collect();
            [vec![step], deeper].concat()
        });
        below.collect()
    }

    fn child(&mut self, step: &str) -> Option<&mut Self> {
        match self {
            Self::Number(_) | Self::Text(_) | Self::Raw(_) => None,
            Self::List(items) => items.get_mut(step.parse::<usize>().ok()?),
            Self::Object(members) => {
                members.iter_mut().find(|(name, _)| name == step).map(|(_, value)| value)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_pointer() {
        let mut value = Json::object([("a", Json::List(vec![Json::Number(1), Json::text("x\"y")]))]);
        assert_eq!(value.pointers(), ["/a", "/a/0", "/a/1"]);
        *value.at("/a/0").unwrap() = Json::Raw("null".to_owned());
        assert_eq!(value.write(Style::Compact), r#"{"a":[null,"x\"y"]}"#);
        assert_eq!(value.write(Style::Spaced), "{\r\n\t\"a\" : [\r\n\tnull , \"x\\\"y\" ] }");
        assert!(value.at("/a/2").is_none() && value.at("/b").is_none() && value.at("").is_some());
    }
}
