use super::*;

/// A folder that is gone when the test is over.
struct Scratch {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Scratch {
    fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        fs::write(&path, content).unwrap();
        Self {
            path,
            _folder: folder,
        }
    }

    fn content(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    fn open(&self, shape: &Shape) -> (Output, Answered) {
        Output::open(&self.path, shape.clone()).unwrap()
    }
}

fn shape(format: Format, columns: &[&str], fields: &[&str]) -> Shape {
    Shape {
        format,
        columns: columns.iter().map(|&name| name.to_owned()).collect(),
        fields: fields.iter().map(|text| text.parse().unwrap()).collect(),
    }
}

fn plain() -> Shape {
    shape(Format::Jsonl, &[], &[])
}

fn part(number: &str) -> Part {
    Part {
        number: number.to_owned(),
        rows: vec![Vec::new()],
    }
}

fn parts(numbers: &[&str]) -> Vec<Part> {
    numbers.iter().map(|number| part(number)).collect()
}

fn entry(part: &Part, answer: Value) -> Entry<'_> {
    Entry {
        part,
        status: Some(200),
        answer: Some(answer),
        error: None,
    }
}

#[test]
fn a_second_run_asks_only_for_what_is_not_answered() {
    for format in [Format::Jsonl, Format::Csv] {
        let scratch = Scratch::new("");
        let shape = shape(format, &[], &[]);
        let (mut output, _) = scratch.open(&shape);
        for part in parts(&["A#+", "B,1"]) {
            output.write(&entry(&part, "yes".into())).unwrap();
        }
        drop(output);
        let (_, answered) = scratch.open(&shape);
        assert_eq!(answered.leaves(parts(&["A#+", "B,1", "C"])), parts(&["C"]));
    }
}

#[test]
fn a_part_that_failed_is_asked_about_again_and_has_one_line_in_the_end() {
    let failed = "{\"part\":\"A\",\"error\":\"status_503\"}\n";
    let scratch = Scratch::new(failed);
    let (mut output, answered) = scratch.open(&plain());
    assert_eq!(answered.leaves(parts(&["A"])), parts(&["A"]));
    output.write(&entry(&part("A"), "yes".into())).unwrap();
    assert_eq!(
        scratch.content(),
        "{\"part\":\"A\",\"status\":200,\"answer\":\"yes\"}\n"
    );
    let failed = "part,status,error,answer\nA,503,status_503,\nB,200,,yes\n";
    let scratch = Scratch::new(failed);
    let (_, answered) = scratch.open(&shape(Format::Csv, &[], &[]));
    assert_eq!(answered.leaves(parts(&["A", "B"])), parts(&["A"]));
    assert_eq!(scratch.content(), "part,status,error,answer\nB,200,,yes\n");
}

#[test]
fn the_torn_last_row_of_a_killed_run_is_dropped_wherever_it_was_cut() {
    let line = "{\"part\":\"A\",\"status\":200,\"answer\":\"yes\"}\n";
    let torn = "{\"part\":\"µB\",\"status\":200,\"answer\":\"yes\"}";
    dropped(&plain(), line, torn);
    let header = "part,status,error,answer\n";
    let torn = "µB,200,,\"a \"\"b\"\",\nc\"\n";
    let table = shape(Format::Csv, &[], &[]);
    dropped(
        &table,
        &format!("{header}A,200,,yes\n"),
        &torn[..torn.len() - 1],
    );
    for cut in 0..header.len() {
        let scratch = Scratch::new(&header[..cut]);
        scratch.open(&table);
        assert_eq!(scratch.content(), "", "{cut}");
    }
}

fn dropped(shape: &Shape, whole: &str, torn: &str) {
    for cut in (1..=torn.len()).filter(|cut| torn.is_char_boundary(*cut)) {
        let content = format!("{whole}{}", &torn[..cut]);
        let scratch = Scratch::new(&content);
        let (_, answered) = scratch.open(shape);
        let left = answered.leaves(parts(&["A", "µB"]));
        assert_eq!(left, parts(&["µB"]), "{cut}");
        assert_eq!(scratch.content(), whole);
    }
}

#[test]
fn each_answer_of_a_repeated_list_counts_once() {
    let line = "{\"part\":\"A\",\"status\":200}\n";
    let scratch = Scratch::new(&line.repeat(2));
    let (_, answered) = scratch.open(&plain());
    let left = answered.leaves(parts(&["A", "B", "A", "B", "A"]));
    assert_eq!(left, parts(&["B", "B", "A"]));
}

#[test]
fn a_file_that_is_not_of_a_crawl_is_left_alone() {
    let table = shape(Format::Csv, &["qty"], &[]);
    for (shape, content, text) in [
        (&plain(), "dear diary\n", "is not a line of a crawl"),
        (&plain(), "dear diary", "is not a line of a crawl"),
        (
            &plain(),
            "{\"part\":\"A\"}\n\n{\"x\":1}\n",
            "line 2 is not a line of a crawl",
        ),
        (&table, "dear,diary\n", "its columns are \"dear,diary\""),
        (
            &table,
            "part,qty,status,error,answer\nA,1\nB,1,200,,x\n",
            "line 2 has 2 columns",
        ),
    ] {
        let scratch = Scratch::new(content);
        let error = Output::open(&scratch.path, shape.clone()).err().unwrap();
        let error = format!("{error:#}");
        assert!(error.contains(text), "{error}");
        assert_eq!(scratch.content(), content);
    }
}

#[test]
fn each_row_of_a_part_comes_out_with_its_answer_and_its_own_columns() {
    let part = Part {
        number: "BAV99,215".to_owned(),
        rows: vec![
            vec!["Nexperia".to_owned(), "10".to_owned()],
            vec!["Nexperia".to_owned(), "5".to_owned()],
        ],
    };
    let columns = ["Manufacturer", "qty"];
    let fields = ["price=/Product/Price", "/Product/Name", "/none"];
    let answer = serde_json::json!({"Product": {"Price": 0.1, "Name": "a \"b\""}});

    let scratch = Scratch::new("");
    let lines = shape(Format::Jsonl, &columns, &fields);
    let (mut output, _) = scratch.open(&lines);
    output.write(&entry(&part, answer.clone())).unwrap();
    let line = |qty| {
        format!(
            "{{\"part\":\"BAV99,215\",\"manufacturer\":\"Nexperia\",\"row\":{{\"qty\":\"{qty}\"}},\
             \"status\":200,\"fields\":{{\"price\":0.1,\"Name\":\"a \\\"b\\\"\",\"none\":null}}}}\n"
        )
    };
    assert_eq!(scratch.content(), line(10) + &line(5));
    assert_eq!(output.missing(), ["/none"]);
    drop(output);
    let (_, answered) = scratch.open(&lines);
    assert_eq!(answered.leaves(vec![part.clone()]), []);

    let scratch = Scratch::new("");
    let table = shape(Format::Csv, &columns, &fields);
    let (mut output, _) = scratch.open(&table);
    output.write(&entry(&part, answer)).unwrap();
    assert_eq!(
        scratch.content(),
        "part,Manufacturer,qty,status,error,price,Name,none\n\
         \"BAV99,215\",Nexperia,10,200,,0.1,\"a \"\"b\"\"\",\n\
         \"BAV99,215\",Nexperia,5,200,,0.1,\"a \"\"b\"\"\",\n"
    );
}

#[test]
fn a_failure_keeps_what_the_server_said() {
    let scratch = Scratch::new("");
    let (mut output, _) = scratch.open(&shape(Format::Jsonl, &[], &["/price"]));
    let part = part("A");
    let entry = Entry {
        status: Some(404),
        error: Some("status_404"),
        ..entry(&part, "none such".into())
    };
    output.write(&entry).unwrap();
    assert_eq!(
        scratch.content(),
        "{\"part\":\"A\",\"status\":404,\"answer\":\"none such\",\"error\":\"status_404\"}\n"
    );
}

#[test]
fn a_file_that_another_crawl_writes_is_left_alone() {
    let scratch = Scratch::new("{\"part\":\"A\",\"error\":\"status_503\"}\n");
    let lock = Lock::take(&scratch.path).unwrap();
    let before = scratch.content();
    assert!(Output::open(&scratch.path, plain()).is_err());
    assert_eq!(scratch.content(), before);
    drop(lock);
    scratch.open(&plain());
}

#[test]
fn a_look_at_what_was_answered_touches_nothing() {
    let content = "{\"part\":\"A\",\"status\":200}\n{\"part\":\"B\",\"error\":\"x\"}\n";
    let scratch = Scratch::new(content);
    let answered = Output::peek(&scratch.path, &plain()).unwrap();
    assert_eq!(answered.leaves(parts(&["A", "B"])), parts(&["B"]));
    assert_eq!(scratch.content(), content);
}

#[test]
fn what_is_no_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let error = Output::open(folder.path(), plain()).err().unwrap();
    assert!(
        error.to_string().ends_with("is no file; - is stdout"),
        "{error}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn after_a_row_that_could_not_be_written_none_is() {
    let mut output = Output {
        path: Some("/dev/full".into()),
        ..Output::to("full".to_owned(), plain())
    };
    for _ in 0..2 {
        let error = output.write(&entry(&part("A"), "yes".into())).unwrap_err();
        assert_eq!(error.to_string(), "cannot write full");
    }
    assert!(output.is_broken);
}
