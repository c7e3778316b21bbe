//! A page of metrics, as far as it is asked about. Source: Prometheus, "Text-based format".

/// One sample.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// The samples of a page; lines that are none are passed over.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Samples(Vec<Sample>);

impl Samples {
    pub(crate) fn read(page: &str) -> Self {
        Self(page.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The sum of a family's samples that have all these labels; none where there is no such sample.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &Sample| {
            labels.iter().all(|(key, value)| sample.labels.iter().any(|(k, v)| k == key && v == value))
        };
        let mut samples = self.0.iter().filter(|sample| sample.name == name && has(sample)).peekable();
        samples.peek()?;
        Some(samples.map(|sample| sample.value).sum())
    }

    /// A family's samples above zero, by the value of a label.
    pub(crate) fn by(&self, name: &str, label: &str) -> Vec<(&str, f64)> {
        let of_family = self.0.iter().filter(|sample| sample.name == name && sample.value > 0.0);
        let value = |sample: &'_ Sample| sample.labels.iter().position(|(key, _)| key == label);
        of_family
            .filter_map(|sample| Some((sample.labels.get(value(sample)?)?.1.as_str(), sample.value)))
            .collect()
    }

    /// The value of a label of a family's first sample.
    pub(crate) fn label(&self, name: &str, label: &str) -> Option<&str> {
        let sample = self.0.iter().find(|sample| sample.name == name)?;
        sample.labels.iter().find(|(key, _)| key == label).map(|(_, value)| value.as_str())
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (head, value) = line.rsplit_once(' ')?;
    let (name, labels) = match head.split_once('{') {
        Some((name, labels)) => (name, labels.trim_end().strip_suffix('}')?),
        None => (head, ""),
    };
    Some(Sample { name: name.trim().to_owned(), labels: self::labels(labels)?, value: value.parse().ok()? })
}

fn labels(text: &str) -> Option<Vec<(String, String)>> {
    let mut labels = Vec::new();
    let mut rest = text.trim_matches(',');
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => ' ',
                    c => c,
                }),
                (_, c) => value.push(c),
            }
        };
        labels.push((name.trim_matches([',', ' ']).to_owned(), value));
        rest = quoted.get(end + 1..)?.trim_start_matches([',', ' ']);
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP a_total A.\n# TYPE a_total counter\na_total{client=\"Boto3\",v=\"1\"} 3\na_total{client=\"cu\\\"rl,}\",v=\"2\"} 4\na_total{client=\"none\",v=\"1\"} 0\nb 1.5e3\nbroken{ 1\nbuild_info{version=\"0.1.0\"} 1\n";

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let samples = Samples::read(PAGE);
        assert_eq!(samples.sum("a_total", &[]), Some(7.0));
        assert_eq!(samples.sum("a_total", &[("v", "1")]), Some(3.0));
        assert_eq!(samples.sum("a_total", &[("v", "3")]), None);
        assert_eq!(samples.sum("b", &[]), Some(1500.0));
        assert_eq!(samples.by("a_total", "client"), [("Boto3", 3.0), ("cu\"rl,}", 4.0)]);
        assert_eq!(samples.label("build_info", "version"), Some("0.1.0"));
        assert_eq!(Samples::read("<html>no metrics</html>\n\n"), Samples::default());
    }
}
