//! The AWS SDK for Rust's IMDS credentials provider, as it comes: prints the access key that it found.

use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials as _;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "what it found is what it is for")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plain_http = aws_smithy_http_client::Builder::new().build_http();
    let config = ProviderConfig::default().with_http_client(plain_http);
    let provider = ImdsCredentialsProvider::builder().configure(&config).build();
    let credentials = provider.provide_credentials().await?;
    println!("{}", credentials.access_key_id());
    Ok(())
}
