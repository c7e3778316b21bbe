//! Kubernetes quantities.

use std::fmt;
use std::str::FromStr;

use imds_contract::Invalid;
use serde::{Serialize, Serializer};

/// A Kubernetes quantity that is not negative: `10m`, `16Mi`, `0.5`, `1e3`. Prints as it was written.
/// Source: k8s.io/apimachinery, `pkg/api/resource/quantity.go`.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    text: String,
    amount: f64,
}

impl Quantity {
    pub(crate) fn zero() -> Self {
        Self { text: "0".to_owned(), amount: 0.0 }
    }

    /// The text, as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The amount in the resource's own unit (bytes, CPUs), near enough to compare two quantities.
    pub(crate) fn amount(&self) -> f64 {
        self.amount
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl FromStr for Quantity {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let amount = amount(text)
            .ok_or_else(|| Invalid::new(text, "a Kubernetes quantity, for example 10m, 0.5, 16Mi or 64M"))?;
        Ok(Self { text: text.to_owned(), amount })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn amount(text: &str) -> Option<f64> {
    let end = text.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    // Rust reads "." as no number; "5." and ".5" are numbers for both.
    let number: f64 = number.parse().ok()?;
    Some(number * multiplier(suffix)?)
}

fn multiplier(suffix: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 16] = [
        ("", 1.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
    ];
    let known = SUFFIXES.iter().find(|(known, _)| *known == suffix).map(|(_, factor)| *factor);
    known.or_else(|| {
        let exponent: i8 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        Some(10_f64.powi(exponent.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_reads() {
        for (smaller, larger) in
            [("10m", "0.5"), ("64M", "64Mi"), ("1Gi", "1.1Gi"), ("1e3", "2k"), ("900m", "1"), ("5E", "5Ei")]
        {
            let [small, large] = [smaller, larger].map(|text| text.parse::<Quantity>().unwrap().amount());
            assert!(small < large, "{smaller} < {larger}");
        }
        assert_eq!("16Mi".parse::<Quantity>().unwrap().to_string(), "16Mi");
    }

    #[test]
    fn refuses_what_is_no_quantity() {
        for wrong in ["", ".", "Mi", "-1", "+1", "16 Mi", "16mi", "16MB", "1.2.3", "1e", "1e999", "ten", "½"]
        {
            assert!(wrong.parse::<Quantity>().is_err(), "{wrong:?}");
        }
    }
}
