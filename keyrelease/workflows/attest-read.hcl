# Evidence and the path of a secret in KV v2 in; its fields out, sealed to the key that the hardware vouched for.
#
# Three steps under one request: login with the evidence, secret/data/<path> with the login's token, attest-keys/seal. What
# fails ends it: for a machine that is not admitted nothing is read. The token stays inside. Which secrets a machine may read is
# said by the token_policies of the role.
input {
  field "map" "login" {
    description = "the body of auth/attest/login: role, challenge, evidence, key"
    required = true
  }
  field "string" "secret" {
    description = "the secret, below secret/data/"
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

  request "read" {
    operation = "read"
    path = {
      eval_source = "template"
      eval_type = "string"
      template = "secret/data/{{ .input.secret }}"
    }
    token = {
      eval_source = "response"
      eval_type = "string"
      flow_name = "attested"
      response_name = "login"
      field_selector = ["auth", "client_token"]
    }
    data = {}
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
      data = {
        eval_source = "response"
        eval_type = "map"
        flow_name = "attested"
        response_name = "read"
        field_selector = ["data", "data"]
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
