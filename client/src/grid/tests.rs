//! Grids that are right, and the sentences of those that are not.

use proptest::prelude::*;

use super::*;

const STORE_1: &str = "01010101010101010101010101010101";
const STORE_2: &str = "02020202020202020202020202020202";

fn parse(text: &str) -> Result<Grid, GridError> {
    Grid::parse(text, Path::new("grid.toml"))
}

fn sentence(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn entry(store: &str, address: &str) -> String {
    format!("[[server]]\nstore = \"{store}\"\naddress = \"{address}\"\n")
}

#[test]
fn every_key_is_read() {
    let grid = parse(&format!(
        "{}zone = \"cellar\"\nweight = 3\ntoken = \"open\"\n{}",
        entry(STORE_1, "127.0.0.1:4100"),
        entry(STORE_2, "[::1]:4101"),
    ))
    .unwrap();
    let first = grid.find(StoreId::new([1; 16])).unwrap();
    assert_eq!(first.address.as_str(), "127.0.0.1:4100");
    assert_eq!(first.zone.as_deref(), Some("cellar"));
    assert_eq!(first.weight.get(), 3);
    assert_eq!(first.token.as_ref().unwrap().reveal(), "open");
    let second = grid.find(StoreId::new([2; 16])).unwrap();
    assert_eq!((second.weight.get(), &second.token), (1, &None));
    assert_eq!(grid.find(StoreId::new([3; 16])), None);
}

#[test]
fn a_token_is_not_shown_by_debug() {
    let text = entry(STORE_1, "a:1") + "token = \"open sesame\"\n";
    assert!(!format!("{:?}", parse(&text).unwrap()).contains("sesame"));
}

#[test]
fn a_wrong_line_is_named() {
    assert_eq!(
        sentence(&entry("0101", "a:1")),
        "grid.toml, line 2: a store id has 16 bytes, got 2"
    );
    assert_eq!(
        sentence(&entry("xyz", "a:1")),
        "grid.toml, line 2: a store id is written in hexadecimal digits"
    );
    assert_eq!(
        sentence(&entry(STORE_1, "localhost")),
        "grid.toml, line 3: address \"localhost\" must end in a colon and a port from 1 to 65535"
    );
    assert_eq!(
        sentence(&(entry(STORE_1, "a:1") + "token = \"\"")),
        "grid.toml, line 4: a token must not be empty; leave the key out where a server asks for none"
    );
}

#[test]
fn what_stands_twice_is_named_with_both_lines() {
    assert_eq!(
        sentence(&(entry(STORE_1, "a:1") + &entry(STORE_1, "a:2"))),
        format!("grid.toml, line 5: store {STORE_1} is listed already in line 2")
    );
    assert_eq!(
        sentence(&(entry(STORE_1, "a:1") + &entry(STORE_2, "A:1"))),
        "grid.toml, line 6: address a:1 is listed already in line 3"
    );
}

#[test]
fn a_grid_without_servers_says_what_to_write() {
    for text in ["", "# nothing yet\n"] {
        assert_eq!(
            sentence(text),
            "grid.toml lists no servers; each is a [[server]] table with store and address"
        );
    }
}

#[test]
fn misspelt_missing_and_mistyped_keys_are_refused_at_their_line() {
    let good = entry(STORE_1, "a:1");
    for (text, line, word) in [
        (good.clone() + "wieght = 2\n", 4, "wieght"),
        (good.clone() + "weight = 0\n", 4, "zero"),
        (good.clone() + "weight = \"2\"\n", 4, "string"),
        (good + "zone = \n", 4, ""),
        ("[[server]]\nstore = \"x\"\n".to_owned(), 1, "address"),
        ("[[servers]]\n".to_owned(), 1, "servers"),
        ("server = 7\n".to_owned(), 1, "integer"),
    ] {
        let sentence = sentence(&text);
        assert!(sentence.starts_with(&format!("grid.toml, line {line}: ")), "{sentence}");
        assert!(sentence.contains(word), "{sentence}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Grid::read(Path::new("/nowhere/grid.toml")).unwrap_err();
    assert!(error.to_string().starts_with("the grid file /nowhere/grid.toml cannot be read: "));
}

#[test]
fn a_grid_is_made_of_distinct_servers_only() {
    let server = |store: u8, port: u16| {
        let address = format!("localhost:{port}").parse().unwrap();
        GridServer::new(StoreId::new([store; 16]), address)
    };
    assert_eq!(Grid::new(vec![]), Err(GridServersError::Empty));
    assert!(matches!(
        Grid::new(vec![server(1, 1), server(1, 2)]),
        Err(GridServersError::RepeatedStore(_))
    ));
    assert!(matches!(
        Grid::new(vec![server(1, 1), server(2, 1)]),
        Err(GridServersError::RepeatedAddress(_))
    ));
}

fn any_server() -> impl Strategy<Value = GridServer> {
    (
        any::<[u8; 16]>(),
        1..=u16::MAX,
        proptest::option::of(any::<String>()),
        1..=u32::MAX,
        proptest::option::of("[^\\p{Cc}]{1,20}"),
    )
        .prop_map(|(store, port, zone, weight, token)| GridServer {
            store: StoreId::new(store),
            address: format!("host:{port}").parse().unwrap(),
            zone,
            weight: NonZeroU32::new(weight).unwrap(),
            token: token.map(Token::new),
        })
}

proptest! {
    #[test]
    fn a_grid_reads_back_what_it_prints(servers in proptest::collection::vec(any_server(), 1..8)) {
        if let Ok(grid) = Grid::new(servers) {
            prop_assert_eq!(parse(&grid.to_string()).unwrap(), grid);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(\\[\\[server\\]\\]\n|[a-z]{1,7} = |\"|\\PC{0,4}|\n){0,20}") {
        let _ = parse(&text);
    }
}
