//! What holds for every page of a report.

use serde_json::Value;

/// The data of a page, which are JSON that no text of a capture ends. The page has them and one script.
///
/// # Panics
/// When the page is not such a page.
pub fn data(page: &str) -> Value {
    assert_eq!(page.matches("<script").count(), 2);
    let (_, data) = page.split_once("id=\"data\">").expect("the page has data");
    let (data, _) = data.split_once("</script>").expect("the data end");
    assert!(!data.contains(['<', '>', '&', '\n']));
    serde_json::from_str(data).expect("the data are JSON")
}

/// How long all columns of an object are: lists, of equal lengths, or objects of such lists.
///
/// # Panics
/// When they are not equally long.
pub fn rows(columns: &Value) -> usize {
    let columns = columns.as_object().expect("columns are an object");
    let lengths: Vec<usize> =
        columns.values().map(|column| column.as_array().map_or_else(|| rows(column), Vec::len)).collect();
    assert!(lengths.windows(2).all(|two| two[0] == two[1]), "{lengths:?}");
    lengths.first().copied().unwrap_or(0)
}
