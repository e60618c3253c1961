//! Did you mean: known names that are spelled nearly like one that is not known.

/// Names less alike than this are no suggestion (Jaro-Winkler, 1 is equal). A slip in one letter or a forgotten
/// zero stays above 0.8 in names of the usual length; unlike names stay below 0.7.
const LIKENESS_MIN: f64 = 0.8;

/// More suggestions than this are a list, not a hint.
const SUGGESTIONS_MAX: usize = 3;

/// Returns what is called nearly so, the most alike first; case does not count.
pub fn alike<'a, T>(word: &str, known: impl IntoIterator<Item = (&'a str, T)>) -> Vec<T> {
    let mut found = rank(word, LIKENESS_MIN, known);
    found.truncate(SUGGESTIONS_MAX);
    found
}

/// Returns what is called most nearly so.
pub fn closest<'a, T>(word: &str, known: impl IntoIterator<Item = (&'a str, T)>) -> Option<T> {
    closest_above(LIKENESS_MIN, word, known)
}

/// Returns what is called most nearly so, where it is at least that much alike.
pub fn closest_above<'a, T>(
    least: f64,
    word: &str,
    known: impl IntoIterator<Item = (&'a str, T)>,
) -> Option<T> {
    rank(word, least, known).into_iter().next()
}

fn rank<'a, T>(word: &str, least: f64, known: impl IntoIterator<Item = (&'a str, T)>) -> Vec<T> {
    let word = word.to_lowercase();
    let mut rated: Vec<_> = known
        .into_iter()
        .map(|(name, value)| (strsim::jaro_winkler(&word, &name.to_lowercase()), name, value))
        .filter(|(likeness, ..)| *likeness >= least)
        .collect();
    rated.sort_by(|(a, x, _), (b, y, _)| b.total_cmp(a).then_with(|| x.cmp(y)));
    rated.dedup_by(|one, other| one.1 == other.1);
    rated.into_iter().map(|(_, _, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_comes_first_and_strangers_do_not_come() {
        let names = ["kvm-01", "kvm-02", "db-7", "kvm-11", "kvm-012", "kvm-01"].map(|name| (name, name));
        assert_eq!(alike("KVM-1", names), ["kvm-01", "kvm-11", "kvm-012"]);
        assert_eq!(alike("zzz", names), Vec::<&str>::new());
        assert_eq!(closest("db7", names), Some("db-7"));
        assert_eq!(closest_above(0.99, "db7", names), None);
    }
}
