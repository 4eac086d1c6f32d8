//! The structures of the source whose fields are stored or sent.

/// A field of a structure in the source that is stored or sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Number of its key.
    pub(crate) number: u32,
    /// Its name.
    pub(crate) name: String,
    /// Its type, as the source has it.
    pub(crate) kind: String,
    /// Whether a reader fills it in.
    pub(crate) has_default: bool,
}

/// Returns the fields of a structure whose braces hold `body` in the source.
pub(crate) fn fields(body: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut attribute = None;
    for line in body.lines().map(str::trim) {
        if line.starts_with("#[") {
            let after = ["n(", "b("].iter().find_map(|mark| line.split_once(mark)).unwrap().1;
            let number = after.split(')').next().unwrap().parse().unwrap();
            attribute = Some((number, line.contains("default")));
        } else if let Some((name, kind)) = line.split_once(": ").filter(|_| !line.starts_with("//"))
            && let Some((number, has_default)) = attribute.take()
        {
            let (name, kind) = (name.trim_start_matches("pub ").to_owned(), kind.trim_end_matches(','));
            fields.push(Field { number, name, kind: kind.to_owned(), has_default });
        }
    }
    fields
}
