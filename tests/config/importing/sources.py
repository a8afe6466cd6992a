"""Configurations as LiteLLM's users write them, made up for the tests: the shapes are LiteLLM's, the contents ours."""

PLAIN = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/ANTHROPIC_API_KEY
"""

BALANCED = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: gpt-4o, rpm: 500, tpm: 100000, weight: 2}
  - model_name: gpt-4o
    litellm_params:
      model: azure/our-4o
      api_base: https://eu.openai.azure.com/
      api_version: 2024-08-01-preview
      api_key: os.environ/AZURE_API_KEY
      timeout: 300
      stream_timeout: "20"
      input_cost_per_token: 2.5e-6
      output_cost_per_token: 0.00001
      cache_read_input_token_cost: 1.25e-06
    model_info: {id: eu-1, base_model: azure/gpt-4o, max_input_tokens: 128000}
  - model_name: small
    litellm_params: {model: groq/gpt-4o, temperature: 0.2, tags: [free]}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4-5}
litellm_settings:
  request_timeout: 45
  default_fallbacks: [claude]
  max_budget: 25
  budget_duration: 1d
router_settings:
  num_retries: 2
  fallbacks: [{gpt-4o: [small]}]
  model_group_alias: {gpt-4: gpt-4o, hidden: {model: nothing, hidden: true}}
general_settings:
  global_max_parallel_requests: 50
"""

CLOUDS = """
model_list:
  - model_name: azure-entra
    litellm_params:
      model: azure/our-4o
      api_base: https://eu.openai.azure.com/openai/deployments/our-4o/chat/completions?api-version=2024-10-21
      api_version: "2024-10-21"
      tenant_id: t-1
      client_id: c-1
      client_secret: os.environ/AZURE_CLIENT_SECRET
    model_info: {base_model: azure/gpt-6-luna}
  - model_name: azure-next
    litellm_params: {model: azure/our-4o, api_base: https://eu.openai.azure.com, api_version: preview}
  - model_name: nova
    litellm_params:
      model: bedrock/converse/amazon.nova-lite-v1:0
      aws_region_name: eu-west-1
      aws_access_key_id: os.environ/MY_AWS_ID
      aws_secret_access_key: os.environ/MY_AWS_SECRET
  - model_name: bedrock-claude
    litellm_params: {model: bedrock/invoke/us.anthropic.claude-sonnet-4-5-20250929-v1:0, aws_region_name: us-west-2}
  - model_name: titan
    litellm_params: {model: bedrock/amazon.titan-embed-text-v2:0, aws_region_name: us-west-2}
  - model_name: gemini
    litellm_params: {model: vertex_ai/gemini-2.5-pro, vertex_project: p-1, vertex_location: europe-west4, vertex_credentials: key.json}
  - model_name: vertex-claude
    litellm_params: {model: vertex_ai/claude-sonnet-4-5, vertex_project: os.environ/VERTEXAI_PROJECT, vertex_location: global}
"""

HOME = """
model_list:
  - model_name: llama
    litellm_params: {model: ollama_chat/llama3.1, api_base: http://127.0.0.1:11434}
  - model_name: proxy
    litellm_params: {model: openai/qwen, api_base: http://127.0.0.1:9000/v1, api_key: os.environ/PROXY_KEY}
  - model_name: in-compose
    litellm_params: {model: hosted_vllm/qwen, api_base: http://vllm:8000/v1, api_key: none}
  - model_name: embedder
    litellm_params: {model: hosted_vllm/BAAI/bge-m3, api_base: http://10.0.0.7:8000/v1}
  - model_name: with-a-password
    litellm_params: {model: openai/x, api_base: "https://me:password@host.example/v1"}
  - model_name: from-the-environment
    litellm_params: {model: openai/x, api_base: os.environ/LAB_URL, api_key: os.environ/LAB_KEY}
  - model_name: elsewhere
    litellm_params: {model: perplexity/sonar, api_base: https://api.perplexity.example, api_key: os.environ/PPLX}
"""

SECRETS = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: sk-hunter2}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4-5, litellm_credential_name: store}
  - model_name: claude
    litellm_params: {model: openai/gpt-4o, api_key: hunter2-too, extra_headers: {authorization: hunter2}}
  - model_name: nova
    litellm_params:
      model: bedrock/amazon.nova-lite-v1:0
      aws_region_name: eu-west-1
      aws_access_key_id: hunter2a
      aws_secret_access_key: hunter2b
  - model_name: gemini
    litellm_params: {model: vertex_ai/gemini-2.5-pro, vertex_project: p, vertex_credentials: '{"private_key": "hunter2"}'}
  - model_name: azure
    litellm_params: {model: azure/x, api_base: https://eu.openai.azure.com, tenant_id: t, client_id: c, client_secret: hunter2c}
credential_list:
  - credential_name: store
    credential_info: {description: hunter2}
    credential_values: {api_key: os.environ/FROM_STORE}
general_settings: {master_key: sk-hunter2, database_url: "postgresql://me:hunter2@db/x", new_password: hunter2}
environment_variables: {LANGFUSE_SECRET: hunter2}
litellm_settings: {cache_params: {password: hunter2}}
"""

EVERYTHING = """
include: [models.yaml]
something_new: {a: 1}
model_list:
  - model_name: "openai/*"
    litellm_params: {model: "openai/*", api_key: os.environ/OPENAI_API_KEY}
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, brand_new: 3, max_budget: 5, organization: org-1}
    model_info: {mode: chat, access_groups: [beta], supports_vision: true}
litellm_settings:
  success_callback: [otel, langfuse]
  drop_params: true
  cache: true
  cache_params: {type: redis}
router_settings:
  routing_strategy: usage-based-routing-v2
  redis_host: os.environ/REDIS_HOST
  enable_pre_call_checks: true
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  database_url: os.environ/DATABASE_URL
  alerting: [slack]
  brand_new: true
environment_variables: {REDIS_HOST: localhost}
guardrails:
  - guardrail_name: pii
    litellm_params: {guardrail: presidio, mode: pre_call}
"""
