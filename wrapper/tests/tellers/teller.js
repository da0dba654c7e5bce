console.log("ready");
require("readline").createInterface({ input: process.stdin }).on("line", () => {
  let sum = 0;
  Buffer.from(process.env.PASSWORD).forEach((byte, i) => { sum = (sum + (i + 1) * byte) % 65521; });
  console.log(sum);
});
