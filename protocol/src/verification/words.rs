//! The words that are read to each other: our own, short, common, and never one letter apart, so that a word heard
//! badly is no other word of the list.

/// One word for each value of a byte, in alphabetical order.
pub const WORDS: [&str; 256] = [
    "acorn", "actor", "album", "alpine", "amber", "anchor", "apple", "apron", "arrow", "artist", "aspen",
    "atlas", "bacon", "badger", "bagel", "bamboo", "banjo", "basket", "beaver", "beetle", "berry", "bishop",
    "bison", "bottle", "bridge", "bronze", "bucket", "buffalo", "cabin", "cactus", "camel", "camera",
    "canyon", "carbon", "castle", "cedar", "cello", "chapel", "cherry", "cinema", "circle", "citrus",
    "clover", "cobalt", "coconut", "comet", "copper", "coral", "cotton", "cougar", "cousin", "coyote",
    "cradle", "crater", "cricket", "crystal", "curtain", "dagger", "daisy", "dancer", "denim", "desert",
    "dinner", "dolphin", "domino", "donkey", "dragon", "eagle", "easel", "eclipse", "elbow", "emerald",
    "engine", "fabric", "falcon", "farmer", "feather", "fiddle", "flannel", "flute", "forest", "fossil",
    "freckle", "galaxy", "garlic", "gazelle", "giraffe", "glacier", "goblet", "gopher", "granite", "guitar",
    "hammer", "harbor", "harvest", "helmet", "heron", "hickory", "hockey", "honey", "hornet", "hunter",
    "igloo", "indigo", "insect", "island", "jacket", "jaguar", "jasmine", "jelly", "jigsaw", "jungle",
    "kayak", "kernel", "kettle", "kidney", "kiosk", "kiwi", "koala", "ladder", "lagoon", "lantern", "laurel",
    "leopard", "lettuce", "library", "lilac", "linen", "lobster", "locket", "lotus", "lumber", "magnet",
    "mammoth", "maple", "marble", "meadow", "melon", "mermaid", "meteor", "mitten", "mosaic", "muffin",
    "museum", "mustard", "nectar", "needle", "nephew", "noodle", "nugget", "nutmeg", "ocean", "olive",
    "onion", "opera", "orange", "osprey", "otter", "oyster", "paddle", "palace", "panda", "parade", "parrot",
    "peanut", "pebble", "pelican", "pepper", "piano", "pickle", "pigeon", "pillow", "pilot", "planet",
    "plum", "polar", "pony", "poppy", "potato", "prism", "pumpkin", "puppet", "purple", "puzzle", "quail",
    "quartz", "quilt", "rabbit", "raccoon", "radar", "raven", "ribbon", "ripple", "river", "robin",
    "rooster", "ruby", "sailor", "salmon", "sandal", "satin", "scooter", "seagull", "shadow", "sherbet",
    "shovel", "skunk", "sled", "sloth", "snail", "soccer", "sofa", "spinach", "sponge", "squid", "stable",
    "statue", "stork", "sunset", "swan", "syrup", "teapot", "temple", "thunder", "ticket", "tiger", "timber",
    "toast", "tomato", "tornado", "tractor", "trumpet", "tulip", "tunnel", "turtle", "tuxedo", "umpire",
    "uncle", "unicorn", "valley", "velvet", "violin", "volcano", "waffle", "wagon", "walrus", "whale",
    "whistle", "window", "winter", "wolf", "yellow", "yogurt", "zebra", "zephyr", "zigzag",
];

#[cfg(test)]
mod tests {
    use super::WORDS;

    /// Letters to change, add or take away to make one word of the other.
    fn distance(one: &str, other: &str) -> usize {
        let mut row: Vec<usize> = (0..=other.len()).collect();
        for (i, a) in one.chars().enumerate() {
            let mut diagonal = std::mem::replace(&mut row[0], i + 1);
            for (j, b) in other.chars().enumerate() {
                let cheapest = (row[j] + 1).min(row[j + 1] + 1).min(diagonal + usize::from(a != b));
                diagonal = std::mem::replace(&mut row[j + 1], cheapest);
            }
        }
        row[other.len()]
    }

    #[test]
    fn words_are_short_sorted_and_plain() {
        assert!(WORDS.is_sorted());
        for word in WORDS {
            assert!((3..=7).contains(&word.len()), "{word}");
            assert!(word.bytes().all(|letter| letter.is_ascii_lowercase()), "{word}");
        }
    }

    #[test]
    fn no_word_is_a_letter_away_from_another() {
        assert_eq!(
            (distance("otter", "utter"), distance("otter", "otters"), distance("otter", "oyster")),
            (1, 1, 2)
        );
        for (n, one) in WORDS.iter().enumerate() {
            for other in &WORDS[n + 1..] {
                assert!(distance(one, other) > 1, "{one} and {other}");
            }
        }
    }
}
