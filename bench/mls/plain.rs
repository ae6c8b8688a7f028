//! OpenMLS in plain Rust with its own memory storage: what the wheels are measured against.
//!
//! `plain MESSAGES SIZE MEMBERS` prints the median microseconds of each operation as one JSON object. Groups and
//! settings are those of the crate (`wasm/src/config.rs`).
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

use std::time::Instant;

use openmls::prelude::*;
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const JOINS: usize = 15;
const CERTIFICATE: u16 = 0xff12;
const GROUP_DATA: u16 = 0xff11;

struct Device {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
}

impl Device {
    fn new(name: &str) -> Self {
        let signer = SignatureKeyPair::new(SUITE.signature_algorithm()).unwrap();
        let credential = CredentialWithKey {
            credential: BasicCredential::new(name.into()).into(),
            signature_key: signer.public().into(),
        };
        Device {
            provider: OpenMlsRustCrypto::default(),
            signer,
            credential,
        }
    }

    fn key_package(&self) -> KeyPackage {
        let bundle = KeyPackage::builder()
            .leaf_node_capabilities(capabilities())
            .leaf_node_extensions(leaf_extensions())
            .build(SUITE, &self.provider, &self.signer, self.credential.clone())
            .unwrap();
        bundle.into_key_package()
    }

    fn create(&self) -> MlsGroup {
        let data = Extension::Unknown(GROUP_DATA, UnknownExtension(vec![0; 64]));
        let required = [
            ExtensionType::Unknown(GROUP_DATA),
            ExtensionType::Unknown(CERTIFICATE),
        ];
        let required = RequiredCapabilitiesExtension::new(&required, &[], &[CredentialType::Basic]);
        let context = vec![Extension::RequiredCapabilities(required), data];
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .capabilities(capabilities())
            .padding_size(128)
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(64, 2000))
            .with_group_context_extensions(Extensions::from_vec(context).unwrap())
            .with_leaf_node_extensions(leaf_extensions())
            .unwrap()
            .build();
        MlsGroup::new(
            &self.provider,
            &self.signer,
            &config,
            self.credential.clone(),
        )
        .unwrap()
    }

    fn add(&self, group: &mut MlsGroup, packages: Vec<KeyPackage>) -> (Vec<u8>, Vec<u8>) {
        let provider = &self.provider;
        let bundle = group
            .commit_builder()
            .force_self_update(true)
            .propose_adds(packages)
            .load_psks(provider.storage())
            .unwrap()
            .build(provider.rand(), provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        let (commit, welcome, _) = bundle.into_messages();
        let welcome = welcome
            .map(|welcome| welcome.to_bytes().unwrap())
            .unwrap_or_default();
        (commit.to_bytes().unwrap(), welcome)
    }

    fn join(&self, welcome: &[u8]) -> MlsGroup {
        let config = MlsGroupJoinConfig::builder()
            .padding_size(128)
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(64, 2000))
            .build();
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome).extract() else {
            unreachable!()
        };
        let staged =
            StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None).unwrap();
        staged.into_group(&self.provider).unwrap()
    }

    fn process(&self, group: &mut MlsGroup, message: &[u8]) -> Vec<u8> {
        let message = parse(message).try_into_protocol_message().unwrap();
        match group
            .process_message(&self.provider, message)
            .unwrap()
            .into_content()
        {
            ProcessedMessageContent::ApplicationMessage(message) => message.into_bytes(),
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                group.merge_staged_commit(&self.provider, *commit).unwrap();
                vec![]
            }
            _ => unreachable!(),
        }
    }
}

fn capabilities() -> Capabilities {
    let extensions = [
        ExtensionType::LastResort,
        ExtensionType::Unknown(GROUP_DATA),
        ExtensionType::Unknown(CERTIFICATE),
    ];
    Capabilities::new(
        None,
        Some(&[SUITE]),
        Some(&extensions),
        None,
        Some(&[CredentialType::Basic]),
    )
}

fn leaf_extensions() -> Extensions<LeafNode> {
    Extensions::single(Extension::Unknown(
        CERTIFICATE,
        UnknownExtension(vec![1; 97]),
    ))
    .unwrap()
}

fn parse(bytes: &[u8]) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).unwrap()
}

/// Median microseconds of each run.
fn median<T>(count: usize, mut operation: impl FnMut(usize) -> T) -> (f64, Vec<T>) {
    let mut times = Vec::with_capacity(count);
    let mut results = Vec::with_capacity(count);
    for number in 0..count {
        let began = Instant::now();
        results.push(operation(number));
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    (times[count / 2], results)
}

fn main() {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|word| word.parse().unwrap())
        .collect();
    let [messages, size, members] = arguments[..] else {
        panic!("plain MESSAGES SIZE MEMBERS")
    };
    let (alice, bob) = (Device::new("alice#1"), Device::new("bob#1"));
    let (package, packages) = median(51, |_| bob.key_package());
    let others: Vec<_> = (2..members)
        .map(|number| Device::new(&format!("member{number}#1")).key_package())
        .collect();
    let mut found = |package: &KeyPackage| {
        let mut group = alice.create();
        let everybody = [package].into_iter().chain(&others).cloned().collect();
        let (_, welcome) = alice.add(&mut group, everybody);
        group.merge_pending_commit(&alice.provider).unwrap();
        (group, welcome)
    };
    let joins = if members > 2 { 3 } else { JOINS };
    let mut offers: Vec<_> = packages[..joins].iter().map(&mut found).collect();
    let (join, mut joined) = median(joins, |number| bob.join(&offers[number].1));
    let mut theirs = joined.remove(joins - 1);
    let (mut group, _) = offers.remove(joins - 1);

    let text = vec![7; size];
    let (encrypt, sent) = median(messages, |_| {
        group
            .create_message(&alice.provider, &alice.signer, &text)
            .unwrap()
            .to_bytes()
            .unwrap()
    });
    let (decrypt, opened) = median(messages, |number| bob.process(&mut theirs, &sent[number]));
    assert!(opened.iter().all(|plaintext| *plaintext == text));

    let mut commits = vec![];
    let (commit, _) = median(11, |_| {
        commits.push(alice.add(&mut group, vec![]).0);
        group.merge_pending_commit(&alice.provider).unwrap();
    });
    let (process, _) = median(11, |number| bob.process(&mut theirs, &commits[number]));
    println!(
        "{{\"encrypt\": {encrypt}, \"decrypt\": {decrypt}, \"key_package\": {package}, \"join\": {join}, \
         \"commit\": {commit}, \"process_commit\": {process}}}"
    );
}
