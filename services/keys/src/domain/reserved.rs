use std::collections::HashSet;

use sotto_ids::Handle;

/// Handles that nobody may take.
#[derive(Debug, Clone)]
pub(crate) struct Reserved(HashSet<String>);

impl Reserved {
    /// Passes over what is no handle; the configuration refuses such a list before.
    pub(crate) fn new(handles: &[String]) -> Self {
        let handles = handles.iter().filter_map(|text| text.parse::<Handle>().ok());
        Self(handles.map(|handle| handle.skeleton()).collect())
    }

    /// Whether the handle is one of them, or looks like one.
    pub(crate) fn contains(&self, handle: &Handle) -> bool {
        self.0.contains(&handle.skeleton())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_reserved_handle_is_reserved() {
        let reserved = Reserved::new(&["admin".to_owned(), "root".to_owned()]);
        let is_reserved = |text: &str| reserved.contains(&text.parse().unwrap());
        for text in ["admin", "ad.min", "adrnin", "r00t"] {
            assert!(is_reserved(text), "{text}");
        }
        assert!(!is_reserved("adam"));
    }
}
