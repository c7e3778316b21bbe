// AWS SDK for JavaScript v3, the default chain of a Node.js program.
import { fromNodeProviderChain } from "@aws-sdk/credential-providers";
import answer from "./answers.cjs";

const provider = fromNodeProviderChain();

await answer(async () => {
  const { accessKeyId, expiration } = await provider();
  return [accessKeyId, expiration];
});
