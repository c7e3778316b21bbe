// google-auth-library with AWS as the source of identity: see ../google_auth.py.
import { AwsClient } from "google-auth-library";
import answer from "./answers.cjs";

const imds = "http://169.254.169.254/latest";
const client = new AwsClient({
  type: "external_account",
  audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/aws",
  subject_token_type: "urn:ietf:params:aws:token-type:aws4_request",
  token_url: "https://sts.googleapis.com/v1/token",
  credential_source: {
    environment_id: "aws1",
    region_url: `${imds}/meta-data/placement/availability-zone`,
    url: `${imds}/meta-data/iam/security-credentials`,
    imdsv2_session_token_url: `${imds}/api/token`,
    regional_cred_verification_url: "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
  },
});

await answer(async () => {
  const signed = JSON.parse(decodeURIComponent(await client.retrieveSubjectToken()));
  const { value } = signed.headers.find(({ key }) => key.toLowerCase() === "authorization");
  return [/Credential=(\w+)\//.exec(value)[1], null];
});
