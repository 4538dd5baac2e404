//! The JSON of `analyze` against the schema that `bittrace schema` prints: every line of every capture, in every view.

use bittrace_testing::captures::{captures, captures_folder, scenario};
use bittrace_testing::command;
use serde_json::Value;

fn printed(arguments: &[&str]) -> String {
    let mut command = command::bittrace(env!("CARGO_BIN_EXE_bittrace"), &captures_folder(), arguments);
    let output = command.output().expect("bittrace starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

fn schema() -> Value {
    serde_json::from_str(&printed(&["schema"])).expect("JSON")
}

/// Checks a value against a schema: the keywords that ours has (JSON Schema 2020-12). Another keyword is an error, so that
/// nothing in the schema goes unchecked.
fn check(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what} of {schema} by {value}"));
    let list = |given: &Value| given.as_array().expect("a list").clone();
    let none = Value::Null;
    let properties = &schema["properties"];
    for (keyword, given) in schema.as_object().expect("a schema is an object") {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "then" => {}
            "$ref" => {
                let pointer = given.as_str().expect("a reference").trim_start_matches('#');
                check(root, root.pointer(pointer).expect("what is referred to"), value)?;
            }
            "anyOf" => {
                let fits = list(given).iter().any(|one| check(root, one, value).is_ok());
                if !fits {
                    let errors = list(given).into_iter().filter_map(|one| check(root, &one, value).err());
                    return Err(errors.max_by_key(String::len).unwrap_or_default());
                }
            }
            "allOf" => list(given).iter().try_for_each(|one| check(root, one, value))?,
            "if" => {
                if check(root, given, value).is_ok() {
                    check(root, &schema["then"], value)?;
                }
            }
            "type" => {
                let is = |name: &Value| match name.as_str().expect("a type") {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "number" => value.is_number(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("unknown type {other}"),
                };
                if !given.as_array().map_or_else(|| is(given), |names| names.iter().any(is)) {
                    return wrong("type");
                }
            }
            "const" if given != value => return wrong("const"),
            "enum" if !list(given).contains(value) => return wrong("enum"),
            "const" | "enum" => {}
            "minimum" if value.as_f64() < given.as_f64() && value.is_number() => return wrong("minimum"),
            "minimum" => {}
            "pattern" => {
                let pattern = regex_lite::Regex::new(given.as_str().expect("a pattern")).expect("a pattern");
                if value.as_str().is_some_and(|text| !pattern.is_match(text)) {
                    return wrong("pattern");
                }
            }
            "minItems"
                if value
                    .as_array()
                    .is_some_and(|items| (items.len() as u64) < given.as_u64().expect("a number")) =>
            {
                return wrong("minItems");
            }
            "maxItems"
                if value
                    .as_array()
                    .is_some_and(|items| items.len() as u64 > given.as_u64().expect("a number")) =>
            {
                return wrong("maxItems");
            }
            "minItems" | "maxItems" => {}
            "required" => {
                for key in list(given) {
                    let key = key.as_str().expect("a key").to_owned();
                    if value.as_object().is_some_and(|object| !object.contains_key(&key)) {
                        return wrong(&format!("required {key}"));
                    }
                }
            }
            "items" => value
                .as_array()
                .unwrap_or(&Vec::new())
                .iter()
                .try_for_each(|item| check(root, given, item))?,
            "properties" => {
                for (key, one) in given.as_object().expect("properties") {
                    if let Some(value) = value.get(key) {
                        check(root, one, value)?;
                    }
                }
            }
            "additionalProperties" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    match properties.get(key).unwrap_or(&none).is_null() {
                        true if *given == Value::Bool(false) => return wrong(&format!("additional {key}")),
                        true => check(root, given, value)?,
                        false => {}
                    }
                }
            }
            other => panic!("unknown keyword {other}"),
        }
    }
    Ok(())
}

#[test]
fn every_line_of_every_capture_keeps_the_schema() {
    let schema = schema();
    for path in captures() {
        let file = path.file_name().expect("a capture has a name").to_string_lossy().into_owned();
        let torrent = format!("{}.torrent", scenario(&path));
        let mut arguments = vec!["analyze", file.as_str(), "--format", "json", "--hex", "--view"];
        arguments.push("messages,conversations,pieces,findings,diagnosis");
        if captures_folder().join(&torrent).exists() {
            arguments.extend(["--torrent", torrent.as_str()]);
        }
        for line in printed(&arguments).lines() {
            let object: Value = serde_json::from_str(line).expect("each line is an object");
            if let Err(error) = check(&schema, &schema, &object) {
                panic!("{file}: {error}\n{line}");
            }
        }
    }
}

/// A line of another shape fails: the schema is not one that everything keeps.
#[test]
fn lines_of_another_shape_do_not_keep_the_schema() {
    let schema = schema();
    let json =
        printed(&["analyze", "download-aria2.pcap", "--format", "json", "--filter", "message == request"]);
    let line: Value = serde_json::from_str(json.lines().next().expect("a message")).expect("an object");
    assert_eq!(check(&schema, &schema, &line), Ok(()));
    let broken: [fn(&mut Value); 8] = [
        |line| line["n"] = "1".into(),
        |line| drop(line.as_object_mut().expect("an object").remove("stream")),
        |line| line["wireshark"]["stream"] = "3".into(),
        |line| line["message"] = "requets".into(),
        |line| line["fields"]["index"] = "3".into(),
        |line| line["fields"]["other"] = 3.into(),
        |line| line["speaker"] = "me".into(),
        |line| line["extra"] = 1.into(),
    ];
    for breaks in broken {
        let mut line = line.clone();
        breaks(&mut line);
        assert!(check(&schema, &schema, &line).is_err(), "{line}");
    }
}
