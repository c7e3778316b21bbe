// AWS SDK for JavaScript v2, the default chain. The argument is the package: its first or its last version.
const AWS = require(process.argv[2]);
const answer = require("./answers.cjs");

answer(async () => {
  await new Promise((done, failed) => AWS.config.getCredentials((error) => (error ? failed(error) : done())));
  return [AWS.config.credentials.accessKeyId, AWS.config.credentials.expireTime];
});
