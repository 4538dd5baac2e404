use bittrace_trace::*;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let quiet = std::env::args().nth(2).is_some();
    let mut trace = Trace::open(std::path::Path::new(&path), Options::default()).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    loop {
        match trace.next() {
            Ok(Some(Dissected::Record(r))) => {
                *counts.entry(format!("{} {}", r.body.protocol().name(), r.body.message())).or_insert(0) += 1;
                let fault = bittrace_protocol::field::untiled(&r.fields(), 0..r.bytes.len());
                if let Some(f) = fault {
                    println!("UNTILED {} {f}", r.number);
                }
                if !quiet {
                    println!(
                        "{} s{} {} {}>{} {} {} @{} len {} fr {:?} a={:?} {:?} {:?}",
                        r.number,
                        r.stream.0,
                        r.speaker.name(),
                        r.source,
                        r.destination,
                        r.body.protocol().name(),
                        r.body.message(),
                        r.offset,
                        r.length(),
                        r.frames,
                        r.answers.map(|a| a.number),
                        r.client,
                        r.notes.iter().map(|n| format!("{}:{}", n.rule, n.text)).collect::<Vec<_>>()
                    );
                }
            }
            Ok(Some(Dissected::Connection(end))) => println!("END {end:?}"),
            Ok(None) => break,
            Err(e) => {
                println!("ERROR {e}");
            }
        }
    }
    println!(
        "{counts:#?} {:?} cut {:?} packets {} local {:?}",
        trace.counts(),
        trace.cut(),
        trace.capture().packets(),
        trace.local()
    );
}
