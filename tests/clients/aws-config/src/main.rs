//! The AWS SDK for Rust's IMDS credentials provider, as it comes. Answers as `../programs/answers.py` does: for each line a
//! line, the access key and when it expires.

use std::io::BufRead as _;
use std::time::UNIX_EPOCH;

use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "what it found is what it is for")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plain_http = aws_smithy_http_client::Builder::new().build_http();
    let config = ProviderConfig::default().with_http_client(plain_http);
    let provider = ImdsCredentialsProvider::builder().configure(&config).build();
    for line in std::io::stdin().lock().lines() {
        line?;
        match read(&provider).await {
            Ok((key, expiry)) => println!("{key} {expiry}"),
            Err(error) => println!("none {error:?}"),
        }
    }
    Ok(())
}

async fn read(provider: &ImdsCredentialsProvider) -> Result<(String, u64), CredentialsError> {
    let credentials = provider.provide_credentials().await?;
    let expiry = credentials.expiry().and_then(|expiry| expiry.duration_since(UNIX_EPOCH).ok());
    Ok((credentials.access_key_id().to_owned(), expiry.unwrap_or_default().as_secs()))
}
