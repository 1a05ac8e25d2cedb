//! The table of close codes in the protocol's document is the one that the code would write.

use super::{Finding, Tree};
use crate::close_codes;

/// Compares the two.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let (Some(source), Some(document)) = (tree.file(close_codes::SOURCE), tree.file(close_codes::DOCUMENT))
    else {
        return Vec::new();
    };
    let what = match close_codes::rewrite(&document.text, &source.text) {
        Ok(written) if written == document.text => return Vec::new(),
        Ok(_) => format!("the table of close codes is not that of {}", close_codes::SOURCE),
        Err(error) => format!("the table of close codes cannot be made: {error:#}"),
    };
    vec![Finding::new(document, 0, what, "run `cargo xtask docs`")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::places;

    const SOURCE: &str = "\nclose_codes! {\n    /// forbidden\n    Forbidden = 4403, Stop;\n}\n";
    const MARKS: &str = "<!-- close codes: written by `cargo xtask docs` -->\n<!-- end of close codes -->\n";

    #[test]
    fn a_stale_table_is_found() {
        let fresh = close_codes::rewrite(MARKS, SOURCE).unwrap();
        let with =
            |document| places(check, &[(close_codes::SOURCE, SOURCE), (close_codes::DOCUMENT, document)]);
        assert_eq!(with(&fresh), Vec::<String>::new());
        for stale in [MARKS, "no marks", &fresh.replace("4403", "4404")] {
            assert_eq!(with(stale), ["docs/protocol.md:0"], "{stale}");
        }
    }
}
