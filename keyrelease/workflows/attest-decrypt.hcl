# Evidence and a ciphertext of Transit in; the plaintext out, sealed to the key that the hardware vouched for.
#
# Three steps under one request: login with the evidence, transit/decrypt/<key> with the login's token, attest-keys/seal. What
# fails ends it: a machine that is not admitted has nothing decrypted. The token stays inside. Which keys of Transit a machine
# may use is said by the token_policies of the role.
input {
  field "map" "login" {
    description = "the body of auth/attest/login: role, challenge, evidence, key"
    required = true
  }
  field "string" "key" {
    description = "the name of the key in Transit"
    required = true
  }
  field "string" "ciphertext" {
    description = "vault:v1:..."
    required = true
  }
}

flow "attested" {
  request "login" {
    operation = "update"
    path = "auth/attest/login"
    token = ""
    data = {
      eval_source = "input"
      eval_type = "map"
      field_name = "login"
    }
  }

  request "decrypt" {
    operation = "update"
    path = {
      eval_source = "template"
      eval_type = "string"
      template = "transit/decrypt/{{ .input.key }}"
    }
    token = {
      eval_source = "response"
      eval_type = "string"
      flow_name = "attested"
      response_name = "login"
      field_selector = ["auth", "client_token"]
    }
    data = {
      ciphertext = {
        eval_source = "input"
        eval_type = "string"
        field_name = "ciphertext"
      }
    }
  }

  request "seal" {
    operation = "update"
    path = "attest-keys/seal"
    token = {
      eval_source = "response"
      eval_type = "string"
      flow_name = "attested"
      response_name = "login"
      field_selector = ["auth", "client_token"]
    }
    data = {
      kem = {
        eval_source = "template"
        eval_type = "string"
        template = "{{ .input.login.kem }}"
      }
      public_key = {
        eval_source = "template"
        eval_type = "string"
        template = "{{ .input.login.public_key }}"
      }
      plaintext = {
        eval_source = "response"
        eval_type = "string"
        flow_name = "attested"
        response_name = "decrypt"
        field_selector = ["data", "plaintext"]
      }
    }
  }
}

output {
  data = {
    eval_source = "response"
    eval_type = "map"
    flow_name = "attested"
    response_name = "seal"
    field_selector = "data"
  }
}
