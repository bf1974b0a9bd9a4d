// An OpenID provider that gives tokens to clients who prove who they are by a signed assertion.
// Arguments: its folder of packages, its port, its clients as JSON.
import { createRequire } from "node:module";
import { generateKeyPairSync } from "node:crypto";
import { pathToFileURL } from "node:url";

const [folder, port, clients] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);
const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: JSON.parse(clients).map((client) => ({
    grant_types: ["client_credentials"],
    id_token_signed_response_alg: "ES256",
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: "private_key_jwt",
    ...client,
  })),
  clientAuthMethods: ["private_key_jwt"],
  enabledJWA: { clientAuthSigningAlgValues: ["RS384", "ES384"] },
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  jwks: { keys: [{ ...key, use: "sig" }] },
  scopes: ["system/*.rs"],
  ttl: { ClientCredentials: 60 },
});
provider.listen(Number(port), "127.0.0.1");
