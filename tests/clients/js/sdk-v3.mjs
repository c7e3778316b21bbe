// AWS SDK for JavaScript v3, the default chain of a Node.js program.
import { fromNodeProviderChain } from "@aws-sdk/credential-providers";

const credentials = await fromNodeProviderChain()();
console.log(credentials.accessKeyId);
