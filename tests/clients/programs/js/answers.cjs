// The same answers as ../answers.py.
const readline = require("readline");

module.exports = async (read) => {
  for await (const _ of readline.createInterface({ input: process.stdin })) {
    try {
      const [key, expiry] = await read();
      console.log(`${key} ${expiry ? Math.floor(expiry.getTime() / 1000) : "-"}`);
    } catch (error) {
      console.log(`none ${error.name}: ${String(error.message).replace(/\s+/g, " ").slice(0, 300)}`);
    }
  }
};
