// A server that reads forms as `fetch` does (undici) and answers what it found, as JSON.

import { createHash } from "node:crypto";
import { createServer } from "node:http";

async function found(body, type) {
  const form = await new Response(body, { headers: { "content-type": type } }).formData();
  const parts = [];
  for (const [name, file] of form) {
    const content = Buffer.from(await file.arrayBuffer());
    const sha256 = createHash("sha256").update(content).digest("hex");
    parts.push({ name, filename: file.name, type: file.type, bytes: content.length, sha256 });
  }
  return { parts };
}

const server = createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  try {
    response.end(JSON.stringify(await found(Buffer.concat(pieces), request.headers["content-type"])));
  } catch (error) {
    response.statusCode = 500;
    response.end(`${error.stack} ${error.cause}`);
  }
});

// Versions differ in whether they undo what the HTML Standard escapes in names.
const known = '--b\r\nContent-Disposition: form-data; name="%22"\r\n\r\n\r\n--b--\r\n';
const form = await new Response(known, {
  headers: { "content-type": "multipart/form-data; boundary=b" },
}).formData();
const escapes = form.has('"') ? "undone" : "kept";

server.listen(0, "127.0.0.1", () => console.log(server.address().port, escapes));
