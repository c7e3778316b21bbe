//! What a metrics page shows and what `docs/metrics.md` says of it, in one form: they are equal, or one of them is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Families by name.
pub type Families = BTreeMap<String, Family>;

/// A family of metrics.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Labels by name, and their values. None where anything may stand there.
    pub labels: BTreeMap<String, BTreeSet<String>>,
}

/// What a page in the text exposition format shows. A family without a sample counts too; `le` of a histogram does not.
///
/// # Panics
///
/// Where a line is no such text, or a sample stands under no family of its own.
pub fn shown(page: &str) -> Families {
    let mut families = Families::new();
    let mut current = String::new();
    for line in page.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').expect("a name and a type");
            let family = Family { kind: kind.to_owned(), ..Family::default() };
            assert!(families.insert(name.to_owned(), family).is_none(), "twice: {name}");
            name.clone_into(&mut current);
        } else if !line.starts_with('#') {
            let (sample, _) = line.rsplit_once(' ').expect("a sample and its value");
            let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            let family = families.get_mut(&current).unwrap_or_else(|| panic!("under no family: {line}"));
            let rest = name.strip_prefix(&current).unwrap_or_else(|| panic!("under {current}: {line}"));
            let histogram = family.kind == "histogram" && ["_bucket", "_sum", "_count"].contains(&rest);
            assert!(rest.is_empty() || histogram, "under {current}: {line}");
            for pair in labels.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty()) {
                let (label, value) = pair.split_once('=').expect("a label and its value");
                if !(histogram && label == "le") {
                    let value = value.trim_matches('"').to_owned();
                    family.labels.entry(label.to_owned()).or_default().insert(value);
                }
            }
        }
    }
    families
}

/// The same without the values of a label that anybody may write.
///
/// # Panics
///
/// Where no such family shows that label.
#[must_use]
pub fn without_values(mut families: Families, name: &str, label: &str) -> Families {
    let values = families.get_mut(name).and_then(|family| family.labels.get_mut(label));
    values.unwrap_or_else(|| panic!("no {label} of {name}")).clear();
    families
}

/// What the page says of a program: the two tables under its heading, of metrics and of the values of their labels.
///
/// # Panics
///
/// Where the page is not of this form.
pub fn documented(program: &str) -> Families {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = std::fs::read_to_string(path).expect("docs/metrics.md");
    let heading = format!("## {program}");
    let section: Vec<_> = page
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .collect();
    let mut families = Families::new();
    for row in table(&section, "| name | type | labels |") {
        let [name, kind, labels, ..] = &*row else { panic!("a row of metrics: {row:?}") };
        let labels = quoted(labels).into_iter().map(|label| (label, BTreeSet::new())).collect();
        families.insert(quoted(name).remove(0), Family { kind: kind.clone(), labels });
    }
    for row in table(&section, "| label | of | values |") {
        let [label, of, values] = &*row else { panic!("a row of labels: {row:?}") };
        for name in quoted(of) {
            let family = families.get_mut(&name).unwrap_or_else(|| panic!("no metric {name}"));
            let label = family.labels.get_mut(&quoted(label).remove(0));
            let values = quoted(values).into_iter().map(|value| value.trim_matches('"').to_owned());
            label.unwrap_or_else(|| panic!("not a label of {name}: {row:?}")).extend(values);
        }
    }
    families
}

/// The cells of the table whose header begins so.
fn table(section: &[&str], header: &str) -> Vec<Vec<String>> {
    let rows = section.iter().skip_while(|line| !line.starts_with(header)).skip(2);
    let cells = |row: &&str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<_> = rows.take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "no table {header}");
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read() {
        let families = shown(
            "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\",y=\"\"} 5\na_total{x=\"2\",y=\"\"} 0\n\
             # HELP b B.\n# TYPE b histogram\nb_bucket{le=\"+Inf\"} 1\nb_sum 0.5\nb_count 1\n\
             # HELP c C.\n# TYPE c gauge\n",
        );
        let kinds: Vec<_> = families.iter().map(|(name, family)| (&**name, &*family.kind)).collect();
        assert_eq!(kinds, [("a_total", "counter"), ("b", "histogram"), ("c", "gauge")]);
        assert!(families["b"].labels.is_empty());
        let labels: Vec<_> =
            families["a_total"].labels.iter().map(|(label, values)| (label, values.len())).collect();
        assert_eq!(labels, [(&"x".to_owned(), 2), (&"y".to_owned(), 1)]);
        let open = without_values(families, "a_total", "x");
        assert!(open["a_total"].labels["x"].is_empty());
    }

    #[test]
    #[should_panic(expected = "under a: b 1")]
    fn a_sample_of_another_name_is_noticed() {
        shown("# TYPE a gauge\nb 1\n");
    }
}
