import com.amazonaws.auth.DefaultAWSCredentialsProviderChain;

/** AWS SDK for Java v1, the default chain. It does not tell the expiry. */
class SdkV1 {
    public static void main(String[] arguments) throws Exception {
        // It takes the home folder of the user database, where a developer's own credentials may be.
        System.setProperty("user.home", System.getenv("HOME"));
        var provider = new DefaultAWSCredentialsProviderChain();
        Answers.answer(() -> new Answers.Found(provider.getCredentials().getAWSAccessKeyId(), null));
    }
}
