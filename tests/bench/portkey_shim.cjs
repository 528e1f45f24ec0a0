// Portkey's gateway writes into the headers of the Response that fetch gave it, which Node 20 refuses ("immutable"):
// hand it a Response of its own around the same body.
const fetched = globalThis.fetch;
globalThis.fetch = async (...given) => {
  const { body, status, statusText, headers } = await fetched(...given);
  return new Response(body, { status, statusText, headers });
};
