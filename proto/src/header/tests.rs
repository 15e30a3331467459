use proptest::prelude::*;

use super::*;

fn sample(key: &SigningKey) -> Header {
    let shape = Shape::default();
    Header {
        tombstone: false,
        storage_index: VerifyKey::of(key).storage_index(),
        sequence_number: SequenceNumber::new(2).unwrap(),
        predecessor: Some(VersionId::new([3; 32])),
        shape,
        geometry: Geometry::choose(shape, 1000).unwrap(),
        table_root: [4; 32],
        attempt: AttemptId::new([5; 16]),
        key_check: [6; 16],
        window: Window::new((0..10).map(|i| StoreId::new([i; 16])).collect()).unwrap(),
        joint: None,
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn verify(header: &SignedHeader, bytes: Bytes) -> Result<SignedHeader, SignedHeaderError> {
    let si = header.header().storage_index;
    SignedHeader::verify(si, bytes, header.verify_key(), header.signature())
}

#[test]
fn a_header_reads_back_what_it_wrote() {
    let mut header = sample(&key());
    assert_eq!(Header::parse(&header.encode()), Ok(header.clone()));
    header.joint = Some(Window::new(vec![StoreId::new([99; 16])]).unwrap());
    assert_eq!(Header::parse(&header.encode()), Ok(header));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let signed = SignedHeader::sign(&key(), sample(&key()));
    assert_eq!(verify(&signed, signed.bytes().clone()), Ok(signed.clone()));
    for bit in 0..signed.bytes().len() * 8 {
        let mut bytes = signed.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&signed, bytes.into()).is_err(), "bit {bit}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = sample(&key()).encode();
    for length in 0..bytes.len() {
        assert!(Header::parse(&bytes[..length]).is_err(), "{length} bytes");
    }
    let longer = [bytes.as_ref(), &[0]].concat();
    assert_eq!(Header::parse(&longer), Err(HeaderError::Length(longer.len())));
}

#[test]
fn another_files_key_is_refused() {
    let other = SigningKey::from_bytes(&[8; 32]);
    let forged = SignedHeader::sign(&other, sample(&key()));
    assert_eq!(
        verify(&forged, forged.bytes().clone()),
        Err(SignedHeaderError::Signing(SigningError::OtherFile))
    );
}

#[test]
fn contradictions_are_refused() {
    let mut header = sample(&key());
    header.tombstone = true;
    assert_eq!(Header::parse(&header.encode()), Err(HeaderError::TombstoneWithData));
    header.geometry = Geometry::choose(header.shape, 0).unwrap();
    assert_eq!(Header::parse(&header.encode()), Err(HeaderError::EmptyTable));
    header.table_root = merkle::empty_root();
    assert!(Header::parse(&header.encode()).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = Header::parse(&bytes);
    }

    #[test]
    fn whatever_parses_encodes_to_the_same_bytes(
        position in 0_usize..324, value in any::<u8>(),
    ) {
        let mut bytes = sample(&key()).encode().to_vec();
        let position = position % bytes.len();
        bytes[position] = value;
        if let Ok(header) = Header::parse(&bytes) {
            prop_assert_eq!(header.encode().to_vec(), bytes);
        }
    }
}
