# Evidence in; a short client certificate and its key out, sealed to the key that the hardware vouched for.
#
# Three steps under one request: login with the evidence, pki/issue/machine with the login's token, attest-keys/seal. The
# certificate lives as long as the token would have: never longer than the verdict. PKI draws the key, and nobody but the machine
# can open it: not whoever holds the connection, and not whoever reads this request's answer.
input {
  field "map" "login" {
    description = "the body of auth/attest/login: role, challenge, evidence, key"
    required = true
  }
  field "string" "common_name" {
    description = "the name in the certificate; the role in PKI says which are allowed"
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

  request "issue" {
    operation = "update"
    path = "pki/issue/machine"
    token = {
      eval_source = "response"
      eval_type = "string"
      flow_name = "attested"
      response_name = "login"
      field_selector = ["auth", "client_token"]
    }
    data = {
      common_name = {
        eval_source = "input"
        eval_type = "string"
        field_name = "common_name"
      }
      # Go's durations are nanoseconds.
      ttl = {
        eval_source = "cel"
        eval_type = "string"
        expression = "string(int(responses.attested.login.auth.lease) / 1000000000) + 's'"
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
      data = {
        eval_source = "response"
        eval_type = "map"
        flow_name = "attested"
        response_name = "issue"
        field_selector = "data"
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
