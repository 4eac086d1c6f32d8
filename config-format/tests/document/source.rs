//! The structures of the source that are stored or sent: what `cbor::map!` and its kin say of them.

/// A structure of the source that is stored or sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Structure {
    /// The macro that makes it one: `map`, `array`, `number` or `variants`.
    pub(crate) form: String,
    /// Its name.
    pub(crate) name: String,
    /// Its fields; of a `number` the variants.
    pub(crate) fields: Vec<Field>,
}

/// A field of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// The number and the name of the variant that it belongs to, where there are variants.
    pub(crate) variant: Option<(String, String)>,
    /// Its key or its position.
    pub(crate) number: u32,
    /// Its name.
    pub(crate) name: String,
    /// Its type, as the source has it; empty for a variant.
    pub(crate) kind: String,
    /// Whether a reader fills it in.
    pub(crate) is_optional: bool,
}

/// Returns the structures of a source.
pub(crate) fn structures(source: &str) -> Vec<Structure> {
    let calls = source.split("\ncbor::").skip(1).filter_map(|part| part.split_once("!("));
    calls
        .map(|(form, rest)| {
            let (head, rest) = rest.split_once('{').unwrap();
            let inner = rest.split_once("});").unwrap().0;
            let name = head.trim().split('<').next().unwrap().to_owned();
            let fields = match form {
                "variants" => variants(source, &name, inner),
                _ => fields(source, form, &name, inner),
            };
            Structure { form: form.to_owned(), name, fields }
        })
        .collect()
}

/// The fields of a map, an array, or a number: `0 id, 1 label: optional`, or only names.
fn fields(source: &str, form: &str, name: &str, inner: &str) -> Vec<Field> {
    let declaration = braces(source, &format!("pub struct {name}"));
    let entries = inner.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .enumerate()
        .map(|(position, entry)| {
            let (number, entry) = match form {
                "map" => entry.split_once(' ').map(|(key, rest)| (key.parse().unwrap(), rest)).unwrap(),
                _ => (position as u32, entry),
            };
            let (name, is_optional) =
                entry.split_once(": optional").map_or((entry, false), |(name, _)| (name, true));
            let kind = if form == "number" { String::new() } else { kind(declaration.unwrap(), name) };
            Field { variant: None, number, name: name.to_owned(), kind, is_optional }
        })
        .collect()
}

/// The fields of all variants: `0 Median { window }, 1 Mean { window }`.
fn variants(source: &str, name: &str, inner: &str) -> Vec<Field> {
    let declaration = braces(source, &format!("pub enum {name}")).unwrap();
    let variants = inner.split('}').filter_map(|entry| entry.split_once('{'));
    variants
        .flat_map(|(head, fields)| {
            let (number, variant) = head.trim_matches([',', ' ', '\n']).split_once(' ').unwrap();
            let declaration = braces(declaration, &format!("\n    {variant}")).unwrap();
            fields.split(',').enumerate().map(move |(position, name)| Field {
                variant: Some((number.to_owned(), variant.trim().to_owned())),
                number: position as u32 + 1,
                name: name.trim().to_owned(),
                kind: kind(declaration, name.trim()),
                is_optional: false,
            })
        })
        .collect()
}

/// What stands in the braces behind a declaration.
fn braces<'s>(source: &'s str, declaration: &str) -> Option<&'s str> {
    let mut found = source.split(declaration).skip(1);
    let rest = found.find(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))?;
    let inner = rest.split_once('{')?.1;
    let end = if declaration.starts_with('\n') { "\n    }" } else { "\n}" };
    inner.split(end).next()
}

/// The type of a field.
fn kind(declaration: &str, name: &str) -> String {
    let lines = declaration.lines().map(|line| line.trim().trim_start_matches("pub "));
    let line = lines.filter_map(|line| line.split_once(": ")).find(|(field, _)| *field == name);
    line.unwrap_or_else(|| panic!("no field {name}")).1.trim_end_matches(',').to_owned()
}
