//! The template of the role session name.

use std::fmt;
use std::str::FromStr;

use imds_contract::{Invalid, environment};

/// A template with `{namespace}`, `{pod}` and `{serviceaccount}`; `{namespace}.{pod}` by default. It is rendered with
/// Kubernetes' own variable references, because the name of a Pod that a controller makes is not known at admission:
/// the name is then fixed for the life of the Pod, whatever restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionNameTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(Variable),
}

/// A word of the template that stands for a fact of the Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    Namespace,
    Pod,
    ServiceAccount,
}

impl Variable {
    pub(crate) const ALL: [Self; 3] = [Self::Namespace, Self::Pod, Self::ServiceAccount];

    fn word(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Pod => "pod",
            Self::ServiceAccount => "serviceaccount",
        }
    }

    /// The environment variable that holds it in the emulator's container.
    pub(crate) fn environment(self) -> &'static str {
        match self {
            Self::Namespace => environment::POD_NAMESPACE,
            Self::Pod => environment::POD_NAME,
            Self::ServiceAccount => environment::POD_SERVICE_ACCOUNT,
        }
    }

    /// Where the downward API has it.
    pub(crate) fn field_path(self) -> &'static str {
        match self {
            Self::Namespace => "metadata.namespace",
            Self::Pod => "metadata.name",
            Self::ServiceAccount => "spec.serviceAccountName",
        }
    }
}

impl SessionNameTemplate {
    /// Whether the variable is used.
    pub(crate) fn uses(&self, variable: Variable) -> bool {
        self.parts.contains(&Part::Variable(variable))
    }

    /// With `$(VARIABLE)` references, which kubelet expands. `known` tells what of the Pod is known already.
    pub(crate) fn render<'a>(&self, known: impl Fn(Variable) -> Option<&'a str>) -> String {
        let render = |part: &Part| match part {
            Part::Literal(text) => text.clone(),
            Part::Variable(variable) => format!("$({})", variable.environment()),
        };
        let mut rendered: String = self.parts.iter().map(render).collect();
        // STS refuses a name of one character, and the emulator with it: an object may have one. Kubernetes allows no `_` in
        // a name, so that no other object's session gets this one.
        if let [Part::Variable(only)] = self.parts.as_slice()
            && known(*only).is_some_and(|value| value.len() == 1)
        {
            rendered.push('_');
        }
        rendered
    }
}

impl Default for SessionNameTemplate {
    fn default() -> Self {
        Self {
            text: "{namespace}.{pod}".to_owned(),
            parts: vec![
                Part::Variable(Variable::Namespace),
                Part::Literal(".".to_owned()),
                Part::Variable(Variable::Pod),
            ],
        }
    }
}

impl FromStr for SessionNameTemplate {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts = parts(text).filter(|parts| !parts.is_empty() && text.len() > 1).ok_or_else(|| Invalid::new(text, "at least 2 letters, digits and _+=,.@- with {namespace}, {pod} and {serviceaccount}, for example {namespace}.{pod}"))?;
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl fmt::Display for SessionNameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parts(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(opened) = rest.strip_prefix('{') {
            let (word, after) = opened.split_once('}')?;
            parts.push(Part::Variable(Variable::ALL.into_iter().find(|variable| variable.word() == word)?));
            rest = after;
        } else {
            let (literal, after) = rest.split_at_checked(rest.find('{').unwrap_or(rest.len()))?;
            // STS's alphabet; that it has no `$` is why nothing needs escaping for kubelet.
            let legal = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
            if !literal.bytes().all(legal) {
                return None;
            }
            parts.push(Part::Literal(literal.to_owned()));
            rest = after;
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_references_that_kubelet_expands() {
        let rendered = |text: &str| text.parse::<SessionNameTemplate>().unwrap().render(|_| None);
        assert_eq!(rendered("{namespace}.{pod}"), "$(IMDS_POD_NAMESPACE).$(IMDS_POD_NAME)");
        assert_eq!(rendered("team-a@{serviceaccount}"), "team-a@$(IMDS_POD_SERVICE_ACCOUNT)");
        assert_eq!(rendered("fixed"), "fixed");
    }

    #[test]
    fn a_name_of_one_character_is_padded_to_the_two_that_sts_wants() {
        let rendered =
            |text: &str, value| text.parse::<SessionNameTemplate>().unwrap().render(|_| Some(value));
        assert_eq!(rendered("{pod}", "a"), "$(IMDS_POD_NAME)_");
        assert_eq!(rendered("{pod}", "ab"), "$(IMDS_POD_NAME)");
        assert_eq!(rendered("{pod}x", "a"), "$(IMDS_POD_NAME)x");
        assert_eq!(rendered("{pod}{pod}", "a"), "$(IMDS_POD_NAME)$(IMDS_POD_NAME)");
    }

    #[test]
    fn the_default_is_what_the_documentation_says() {
        assert_eq!("{namespace}.{pod}".parse(), Ok(SessionNameTemplate::default()));
    }

    #[test]
    fn refuses_unknown_words_and_illegal_letters() {
        for wrong in ["", "x", "{node}", "{pod", "pod}", "{}", "a b", "$(HOME)", "a/b", "{namespace}/{pod}"] {
            assert!(wrong.parse::<SessionNameTemplate>().is_err(), "{wrong:?}");
        }
    }
}
