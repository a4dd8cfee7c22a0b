//! Format files of tracepoints: where a record keeps its fields.
//!
//! Takes the text of `events/CATEGORY/NAME/format`, which the running kernel writes. Gives offsets. Never takes a part of a
//! name for the name. Bounded by one pass over the text.

/// Offset of a field. Lines look like `field:unsigned int fd; offset:16; size:8; signed:0;`, with tabs between.
pub fn offset(format: &str, field: &str) -> Option<u32> {
    format.lines().find_map(|line| {
        let (declaration, rest) = line.trim().strip_prefix("field:")?.split_once(';')?;
        let name = declaration.rsplit([' ', '*']).next()?;
        if name.split('[').next() != Some(field) {
            return None;
        }
        let (_, offset) = rest.split_once("offset:")?;
        offset.split(';').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_field_by_its_whole_name() {
        let format = "\tfield:char * buf;\toffset:24;\tsize:8;\tsigned:0;\n\tfield:char comm[16];\toffset:8;\t\n\
                      \tfield:pid_t child_pid;\toffset:44;\tsize:4;\tsigned:1;";
        assert_eq!(offset(format, "buf"), Some(24));
        assert_eq!(offset(format, "comm"), Some(8));
        assert_eq!(offset(format, "child_pid"), Some(44));
        assert_eq!(offset(format, "pid"), None);
    }
}
