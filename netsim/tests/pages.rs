//! The page of a run: well-formed, self-contained, complete, and safe whatever a scenario is called.

mod canned;

use netsim::call::Options;
use netsim::report::page;
use netsim::scenario::load_text;
use std::path::Path;

fn rendered(description: &str, duration_s: f64, sound: bool) -> String {
    rendered_from(&format!("description = {description:?}\nduration_s = {duration_s:?}\n"), sound)
}

fn rendered_from(text: &str, sound: bool) -> String {
    let loaded = load_text("a & <b>.toml", text, Path::new("")).expect("this scenario is right");
    #[allow(clippy::needless_update, reason = "the options of a call are others' to extend")]
    let options = Options { sound, ..Default::default() };
    page(&canned::run(&loaded, 7, &options))
}

#[test]
fn the_page_is_well_formed_whatever_is_written_in_it() {
    let page = rendered("<script>alert('1')</script> & \"so\" on ]]>", 20.0, true);
    elements(&page);
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;so&quot; on ]]&gt;"));
    assert!(!page.contains("<script>alert"));
    assert!(page.contains("the route becomes 40 ms longer &lt;b&gt;&amp;"));
}

#[test]
fn the_page_refers_to_nothing_outside_itself() {
    let page = rendered("plain", 20.0, true).replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for outside in ["http:", "https:", "@import", "url(", "<link", " src=\"/", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let sources = page.matches(" src=\"").count();
    assert_eq!(sources, page.matches(" src=\"data:audio/wav;base64,").count());
    assert_eq!(sources, 2, "a sound for each direction");
}

#[test]
fn every_series_is_named_drawn_and_embedded() {
    let page = rendered("plain", 20.0, false);
    let data =
        page.split("<script type=\"application/json\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let series = data["series"].as_object().unwrap();
    let expected = [
        "concealed_ms",
        "depth_ms",
        "lost",
        "mouth_to_ear_ms",
        "neteq_target_ms",
        "network_ms",
        "stretched_ms",
        "target_ms",
    ];
    let mut keys = series.keys().map(String::as_str).collect::<Vec<_>>();
    keys.sort_unstable();
    assert_eq!(keys, expected);
    for (key, values) in series {
        assert_eq!(values.as_array().unwrap().len(), 200, "{key}");
        assert!(page.contains(&format!("data-series=\"{key}\"")), "{key} has no legend");
    }
    assert_eq!(series["lost"][5], 2);
    assert!(series["mouth_to_ear_ms"][50].is_null(), "silence is a gap");
    assert_eq!(data["step"], 0.1);
    // Two directions of six drawings each.
    assert_eq!(page.matches("<div class=\"plot\"><svg").count(), 12);
}

#[test]
fn bars_stand_where_the_losses_are() {
    let page = rendered("plain", 20.0, false);
    let drawn = page.split("<h2>Losses</h2>").nth(1).unwrap().split("</figure>").next().unwrap();
    // Sample 5, 42, 79, 116, 153 and 190 lost packets; the legend's swatch is one more of that colour.
    assert_eq!(drawn.matches("fill=\"#C76E00\"").count(), 6 + 1, "{drawn}");
}

#[test]
fn the_embedded_sound_is_a_wav_file_of_the_calls_length() {
    let page = rendered("plain", 3.0, true);
    let encoded = page.split("data:audio/wav;base64,").nth(1).unwrap().split('"').next().unwrap();
    let wav = data_encoding::BASE64.decode(encoded.as_bytes()).unwrap();
    let reader = hound::WavReader::new(wav.as_slice()).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 16_000, 16));
    assert_eq!(reader.duration(), 48_000);
}

#[test]
fn a_minute_of_two_people_stays_below_eight_megabytes() {
    let bytes = rendered("plain", 60.0, true).len();
    assert!(bytes < 8_000_000, "{bytes} bytes");
    let hour = rendered("plain", 3600.0, false).len();
    assert!(hour < 3_000_000, "an hour's plots take {hour} bytes");
}

#[test]
fn a_groups_page_leaves_sounds_and_plots_out_rather_than_grow_without_bound() {
    let members = (0..9).map(|n| format!("[[member]]\nname = \"m{n}\"\n")).collect::<String>();
    let text = format!("description = \"a group\"\nduration_s = 20\n{members}");
    let page = rendered_from(&text, true);
    assert!(page.len() < 45_000_000, "{} bytes", page.len());
    assert_eq!(page.matches("<summary>").count(), 56, "of 72");
    assert!(page.contains("And 16 more voices"));
    let left_out = page.matches("The sound is left out").count();
    assert_eq!(page.matches("<audio").count() + left_out, 56);
    assert!(left_out > 10, "{left_out}");
}

#[test]
fn broken_invariants_stand_at_the_top() {
    let page = rendered("plain", 3.0, false);
    let top = page.split("<table>").next().unwrap();
    assert!(top.contains("Invariant broken: voice from a stranger"));
}

/// The names of all elements of a text that has to be well-formed XML, in order.
fn elements(text: &str) -> Vec<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut seen = Vec::new();
    let mut rest = text.strip_prefix("<!DOCTYPE html>").expect("a page begins with its type");
    loop {
        let at = rest.find(['<', '&']).unwrap_or(rest.len());
        rest = &rest[at..];
        if rest.is_empty() {
            break;
        }
        if rest.starts_with('&') {
            let end = rest.find(';').expect("an entity ends");
            let known = ["&amp", "&lt", "&gt", "&quot", "&apos", "&#39"];
            assert!(known.contains(&&rest[..end]), "{:?}", &rest[..end.min(30)]);
            rest = &rest[end..];
        } else if let Some(data) = rest.strip_prefix("<![CDATA[") {
            rest = &data[data.find("]]>").expect("CDATA ends") + 3..];
        } else {
            let end = end_of_tag(rest);
            let tag = &rest[1..end];
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name.trim()), "before {:?}", &rest[..rest.len().min(80)]);
            } else {
                let name = tag.split([' ', '/']).next().unwrap_or_default();
                assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()), "<{tag}>");
                seen.push(name.to_owned());
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    seen
}

/// Where the `>` of the tag at the beginning is; within it every attribute is quoted and has no mark-up.
fn end_of_tag(text: &str) -> usize {
    let mut quoted = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return at,
            '<' => panic!("mark-up within a tag: {:?}", &text[..at.min(100)]),
            _ => {}
        }
    }
    panic!("a tag does not end: {:?}", &text[..text.len().min(100)])
}
