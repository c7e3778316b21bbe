import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;

/** AWS SDK for Java v2, the default chain. */
class SdkV2 {
    public static void main(String[] arguments) throws Exception {
        var provider = DefaultCredentialsProvider.builder().build();
        Answers.answer(() -> {
            var credentials = provider.resolveCredentials();
            return new Answers.Found(credentials.accessKeyId(), credentials.expirationTime().orElse(null));
        });
    }
}
