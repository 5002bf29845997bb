//! Files of certificates and keys (`conn::pem`): what is read strictly is read in a bundle too, and neither it nor a
//! key that does not fit is more than refused.

use gannet::internals::conn::pem::{certificates, key};
use gannet::multi::Certificates;

/// Takes a file.
pub fn run(bytes: &[u8]) {
    let (strict, bundle) = (certificates(bytes, false), certificates(bytes, true));
    if let Ok(strict) = &strict {
        assert!(!strict.is_empty());
        assert_eq!(bundle.as_ref().ok(), Some(strict));
    }
    let Ok(chain) = bundle else {
        return;
    };
    let mut certificates = Certificates::default();
    certificates.add_roots(chain.clone());
    // A passphrase would take as long as the file says.
    if let Ok(key) = key(bytes, None) {
        let _ = certificates.set_identity(chain, key);
    }
}
