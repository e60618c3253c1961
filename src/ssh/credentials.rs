//! Loads the private key at the start of the program, so that a wrong key is reported then and not at night.

use std::{fs, path::Path, sync::Arc};

use russh::keys::{self, PrivateKey};
use secrecy::ExposeSecret;

use super::{KeyFile, Settings, SshError};

/// Reads the private key, if the settings name one. Fails where there is no way to log in at all.
pub(super) fn load(settings: &Settings) -> Result<Option<Arc<PrivateKey>>, SshError> {
    let key = settings.private_key.as_ref().map(private_key).transpose()?;
    if key.is_none() && settings.password.is_none() && settings.agent.is_none() {
        return Err(SshError::NoCredentials);
    }
    Ok(key.map(Arc::new))
}

fn private_key(file: &KeyFile) -> Result<PrivateKey, SshError> {
    let path = &file.path;
    let text = fs::read_to_string(path)
        .map_err(|error| SshError::KeyFile { path: path.clone(), said: error.to_string().into() })?;
    if is_public(&text) {
        return Err(SshError::KeyIsPublic { path: path.clone() });
    }
    let passphrase = file.passphrase.as_ref().map(ExposeSecret::expose_secret).filter(|p| !p.is_empty());
    match keys::decode_secret_key(&text, passphrase) {
        Ok(key) => Ok(key),
        Err(_) if passphrase.is_none() && is_encrypted(&text) => {
            Err(SshError::KeyEncrypted { path: path.clone() })
        }
        Err(error) => Err(unreadable(path, &text, passphrase.is_some(), &error)),
    }
}

/// An encrypted key that does not open means a wrong passphrase. Anything else means a wrong file.
fn unreadable(path: &Path, text: &str, has_passphrase: bool, error: &keys::Error) -> SshError {
    if has_passphrase && is_encrypted(text) {
        return SshError::Passphrase { path: path.into() };
    }
    SshError::KeyForm { path: path.into(), said: error.to_string().into() }
}

fn is_public(text: &str) -> bool {
    let first = text.trim_start();
    ["ssh-", "ecdsa-", "sk-", "---- BEGIN SSH2 PUBLIC", "-----BEGIN PUBLIC"]
        .iter()
        .any(|start| first.starts_with(start))
}

/// PEM files say in their header that they are encrypted, OpenSSH files inside the key.
fn is_encrypted(text: &str) -> bool {
    text.contains("BEGIN ENCRYPTED PRIVATE KEY")
        || text.contains("Proc-Type: 4,ENCRYPTED")
        || PrivateKey::from_openssh(text).is_ok_and(|key| key.is_encrypted())
}

#[cfg(test)]
mod tests {
    use russh::keys::{Algorithm, EcdsaCurve, key::safe_rng, ssh_key::LineEnding};

    use super::*;
    use crate::ssh::testing;

    #[test]
    fn every_kind_of_key_is_read_plain_and_encrypted() {
        let folder = tempfile::tempdir().unwrap();
        for algorithm in [
            Algorithm::Ed25519,
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        ] {
            let key = PrivateKey::random(&mut safe_rng(), algorithm.clone()).unwrap();
            let plain = write(folder.path(), &key);
            assert_eq!(read(&plain, None).unwrap().public_key().key_data(), key.public_key().key_data());
            let locked = write(folder.path(), &key.encrypt(&mut safe_rng(), "correct horse").unwrap());
            assert_eq!(
                read(&locked, Some("correct horse")).unwrap().public_key().key_data(),
                key.public_key().key_data(),
                "{algorithm}"
            );
            assert!(matches!(read(&locked, Some("wrong")), Err(SshError::Passphrase { .. })));
            assert!(matches!(read(&locked, None), Err(SshError::KeyEncrypted { .. })));
        }
    }

    #[test]
    fn a_passphrase_for_a_key_without_one_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        assert!(read(&write(folder.path(), &key), Some("unneeded")).is_ok());
    }

    #[test]
    fn a_file_that_is_no_private_key_is_called_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id.pub");
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        fs::write(&path, key.public_key().to_openssh().unwrap()).unwrap();
        assert!(matches!(read(&path, None), Err(SshError::KeyIsPublic { .. })));
        fs::write(&path, "hello").unwrap();
        assert!(matches!(read(&path, None), Err(SshError::KeyForm { .. })));
        fs::write(&path, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
            .unwrap();
        assert!(matches!(read(&path, Some("x")), Err(SshError::KeyForm { .. })));
        let missing = read(&folder.path().join("none"), None).unwrap_err();
        assert!(matches!(&missing, SshError::KeyFile { said, .. } if !said.is_empty()), "{missing}");
    }

    #[test]
    fn without_key_password_and_agent_there_is_no_way_in() {
        let mut settings = testing::settings();
        settings.password = None;
        assert!(matches!(load(&settings), Err(SshError::NoCredentials)));
        settings.agent = Some("/run/agent".into());
        assert!(load(&settings).unwrap().is_none());
    }

    fn read(path: &Path, passphrase: Option<&str>) -> Result<PrivateKey, SshError> {
        private_key(&KeyFile { path: path.into(), passphrase: passphrase.map(Into::into) })
    }

    fn write(folder: &Path, key: &PrivateKey) -> std::path::PathBuf {
        let path = folder.join(if key.is_encrypted() { "locked" } else { "plain" });
        fs::write(&path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
        path
    }
}
