//! Lists as people have them, and what comes out.

use reqwest_tollgate::sandbox::{Fault, Sandbox};

use super::{Running, Scene, until};

fn product() -> reqwest_tollgate::sandbox::SandboxBuilder {
    Sandbox::builder().resource(|_| http::Response::new("{\"Product\":{\"Price\":0.25}}"))
}

#[tokio::test]
async fn a_table_of_a_spreadsheet_comes_out_with_its_columns_and_each_part_is_asked_once() {
    let sandbox = product().start().await.unwrap();
    let text = "Qty;Teilenummer;Größe\n1;\"A;1\";x\n2;B;y\n3;\"A;1\";z\n\n;;\n4;;\n";
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    let bytes: Vec<u8> = [0xff, 0xfe].into_iter().chain(units).collect();
    let scene = Scene::at(&sandbox, "windows = [\"120/min\"]");
    let list = scene.file("list.csv", &bytes);
    let scene = scene.and(&["--parts", &list, "--column", "teilenummer"]);
    let scene = scene
        .out("answers.csv")
        .and(&["--fields", "price=/Product/Price"]);
    let ran = scene.run().await;
    ran.assert_code(0);
    let text = "2 parts (1 duplicate, 1 row without a part), about 1 s at 120/min";
    assert_eq!(ran.says(text), 1, "{}", ran.stderr);
    assert_eq!(sandbox.counters().requests, 2);
    let answers = scene.read("answers.csv");
    let mut lines: Vec<_> = answers.lines().collect();
    assert_eq!(lines.remove(0), "part,Qty,Größe,status,error,price");
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["A;1,1,x,200,,0.25", "A;1,3,z,200,,0.25", "B,2,y,200,,0.25"]
    );
    // Nothing is left to ask.
    let again = scene.run().await;
    again.assert_code(0);
    assert_eq!(
        again.says("0 parts (1 duplicate, 1 row without a part, 2 answered before)"),
        1
    );
    assert_eq!(sandbox.counters().requests, 2);
}

#[tokio::test]
async fn a_pointer_that_no_answer_has_is_noticed() {
    let sandbox = product().start().await.unwrap();
    let scene = Scene::at(&sandbox, "").parts(3).out("answers.jsonl");
    let ran = scene.and(&["--fields", "/Product/Preis"]).run().await;
    ran.assert_code(0);
    assert_eq!(
        ran.says("no answer has /Product/Preis"),
        1,
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn a_table_without_a_known_column_is_refused_with_its_columns() {
    let scene = Scene::with("base_url = \"http://127.0.0.1:1\"");
    let list = scene.file("list.csv", b"Qty;Teilenummer\n1;A\n");
    let ran = scene.and(&["--parts", &list]).run().await;
    ran.assert_code(2);
    assert_eq!(ran.says("say by --column which one"), 1, "{}", ran.stderr);
    assert_eq!(ran.says("Qty, Teilenummer"), 1);
}

#[tokio::test]
async fn two_crawls_do_not_write_one_file() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let (requests, span) = (1, std::time::Duration::from_secs(3_600));
    sandbox.inject(Fault::Hang { requests, span });
    let scene = Scene::at(&sandbox, "").parts(3).out("answers.jsonl");
    let first: Running = scene.start();
    until(|| sandbox.counters().injected > 0).await;
    let second = scene.run().await;
    second.assert_code(2);
    let text = format!(
        "another crawl writes {}",
        scene.path("answers.jsonl").display()
    );
    assert_eq!(second.says(&text), 1, "{}", second.stderr);
    let holder = format!(": process {}", first.child.id());
    assert_eq!(second.says(&holder), 1, "{}", second.stderr);
    let mut child = first.child;
    child.kill().unwrap();
    child.wait().unwrap();
    // A killed one holds nothing.
    sandbox.clear_faults();
    scene.run().await.assert_code(0);
}

#[tokio::test]
async fn what_is_used_of_a_day_is_known_to_the_next_run() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let table = "windows = [\"10/12h\"]";
    let scene = Scene::at(&sandbox, table).parts(20).out("answers.jsonl");
    scene.run().await.assert_code(3);
    assert!(scene.path("crawl-quotas").is_dir());
    scene.run().await.assert_code(3);
    assert_eq!(sandbox.counters().requests, 10);
}
