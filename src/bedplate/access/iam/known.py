"""What a person recognises: actions as AWS spells them, ARNs and values. To proofs only the count of values matters."""

from __future__ import annotations

from functools import lru_cache

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"

# Keys that (almost) every request has: a witness gives them a value where it can.
ALWAYS = frozenset({
    "aws:currenttime", "aws:epochtime", "aws:sourceip", "aws:securetransport", "aws:requestedregion",
    "aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:userid", "aws:useragent",
})  # fmt: skip

# Keys that may have several values, after the global and the service condition keys.
SEVERAL = frozenset({
    "aws:tagkeys", "aws:calledvia", "aws:principalorgpaths", "aws:resourceorgpaths", "aws:sourceorgpaths",
    "aws:principalservicenameslist", "dynamodb:attributes", "dynamodb:leadingkeys", "kms:grantoperations",
    "kms:encryptioncontextkeys", "s3:requestobjecttagkeys", "cloudformation:resourcetypes", "sts:transitivetagkeys",
})  # fmt: skip

# Keys that have one value after AWS's reference, though policies test them as sets as well.
ONE = frozenset({
    "organizations:serviceprincipal", "codestar-connections:passedtoservice", "ec2:createaction",
    "ram:requestedresourcetype", "ram:resourcesharename", "iam:passedtoservice", "aws:principalorgid",
    "aws:requestedregion", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceip", "aws:sourceaccount", "aws:sourcearn",
    "aws:principalarn", "aws:principalaccount", "aws:resourceaccount", "aws:username", "aws:userid", "sts:externalid",
})  # fmt: skip

_ACTIONS = """
s3: GetObject PutObject DeleteObject ListBucket ListAllMyBuckets GetBucketPolicy PutBucketPolicy CreateBucket
 DeleteBucket GetObjectVersion DeleteObjectVersion PutObjectAcl GetObjectTagging PutObjectTagging GetBucketLocation
ec2: DescribeInstances RunInstances TerminateInstances StartInstances StopInstances DescribeVolumes AttachVolume
 CreateTags DeleteTags CreateSecurityGroup AuthorizeSecurityGroupIngress ModifyInstanceAttribute GetConsoleOutput
iam: CreateUser DeleteUser GetUser ListUsers CreateRole DeleteRole GetRole PassRole AttachRolePolicy PutRolePolicy
 CreateAccessKey CreatePolicyVersion UpdateAssumeRolePolicy ListRoles GetPolicy PutUserPolicy AddUserToGroup
sts: AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity TagSession GetCallerIdentity SetSourceIdentity
dynamodb: GetItem PutItem UpdateItem DeleteItem Query Scan BatchGetItem DescribeTable CreateTable DeleteTable ListTables
lambda: InvokeFunction CreateFunction DeleteFunction UpdateFunctionCode GetFunction ListFunctions AddPermission
kms: Decrypt Encrypt GenerateDataKey CreateGrant DescribeKey ListKeys ScheduleKeyDeletion PutKeyPolicy
sqs: SendMessage ReceiveMessage DeleteMessage GetQueueAttributes CreateQueue DeleteQueue ListQueues PurgeQueue
sns: Publish Subscribe CreateTopic DeleteTopic ListTopics SetTopicAttributes GetTopicAttributes
secretsmanager: GetSecretValue PutSecretValue CreateSecret DeleteSecret ListSecrets DescribeSecret
ssm: GetParameter PutParameter SendCommand StartSession DescribeParameters GetParameters DeleteParameter
logs: CreateLogGroup CreateLogStream PutLogEvents GetLogEvents DescribeLogGroups DeleteLogGroup FilterLogEvents
cloudwatch: PutMetricData GetMetricData ListMetrics DescribeAlarms PutMetricAlarm DeleteAlarms
rds: DescribeDBInstances CreateDBInstance DeleteDBInstance ModifyDBInstance StartDBInstance StopDBInstance
rds-db: connect
bedrock: InvokeModel InvokeModelWithResponseStream ListFoundationModels GetFoundationModel CreateAgent InvokeAgent
bedrock-agentcore: InvokeGateway InvokeAgentRuntime CreateGateway DeleteGateway GetWorkloadAccessToken
ecr: GetAuthorizationToken BatchGetImage PutImage CreateRepository DescribeRepositories
ecs: RunTask DescribeTasks ListClusters CreateService UpdateService DeleteService StopTask
eks: DescribeCluster ListClusters CreateCluster DeleteCluster AccessKubernetesApi
glue: GetTable GetDatabase StartJobRun GetJobRun CreateJob DeleteJob CreateTable
athena: StartQueryExecution GetQueryResults ListWorkGroups
sagemaker: CreateEndpoint InvokeEndpoint DescribeEndpoint CreateModel CreateTrainingJob DeleteEndpoint ListModels
cloudformation: CreateStack UpdateStack DeleteStack DescribeStacks ListStacks
cloudtrail: StopLogging StartLogging LookupEvents DescribeTrails DeleteTrail
organizations: DescribeOrganization ListAccounts LeaveOrganization
route53: ChangeResourceRecordSets ListHostedZones GetHostedZone
events: PutEvents PutRule DeleteRule ListRules
states: StartExecution DescribeExecution CreateStateMachine
apigateway: GET POST PUT DELETE PATCH
elasticloadbalancing: DescribeLoadBalancers CreateLoadBalancer DeleteLoadBalancer
autoscaling: DescribeAutoScalingGroups UpdateAutoScalingGroup SetDesiredCapacity
tag: GetResources TagResources
"""

_RESOURCES = {
    "s3": ("arn:aws:s3:::example-bucket/reports/2026.csv", "arn:aws:s3:::example-bucket"),
    "ec2": ("arn:aws:ec2:eu-west-1:111122223333:instance/i-0abcd1234ef567890",),
    "iam": ("arn:aws:iam::111122223333:role/example", "arn:aws:iam::111122223333:user/alice"),
    "sts": ("arn:aws:iam::111122223333:role/example",),
    "dynamodb": ("arn:aws:dynamodb:eu-west-1:111122223333:table/orders",),
    "lambda": ("arn:aws:lambda:eu-west-1:111122223333:function:example",),
    "kms": ("arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",),
    "sqs": ("arn:aws:sqs:eu-west-1:111122223333:orders",),
    "sns": ("arn:aws:sns:eu-west-1:111122223333:alerts",),
    "secretsmanager": ("arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-a1b2c3",),
    "ssm": ("arn:aws:ssm:eu-west-1:111122223333:parameter/prod/db",),
    "logs": ("arn:aws:logs:eu-west-1:111122223333:log-group:/app/example",),
    "rds": ("arn:aws:rds:eu-west-1:111122223333:db:example",),
    "bedrock": ("arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0",),
}

_LIKED = {
    "aws:requestedregion": ("eu-west-1", "us-east-1"),
    "aws:sourcevpc": ("vpc-0a1b2c3d4e5f67890",),
    "aws:sourcevpce": ("vpce-0a1b2c3d4e5f67890",),
    "aws:principalorgid": ("o-a1b2c3d4e5",),
    "aws:sourceaccount": (ACCOUNT, OTHER_ACCOUNT),
    "aws:principalaccount": (ACCOUNT, OTHER_ACCOUNT),
    "aws:resourceaccount": (ACCOUNT, OTHER_ACCOUNT),
    "aws:username": ("alice", "bob"),
    "aws:userid": ("AIDACKCEVSQ6C2EXAMPLE",),
    "aws:principaltype": ("AssumedRole", "User"),
    "aws:principalarn": ("arn:aws:iam::111122223333:role/example",),
    "aws:sourcearn": ("arn:aws:lambda:eu-west-1:111122223333:function:example",),
    "aws:referer": ("https://www.example.org/",),
    "aws:useragent": ("aws-cli/2.31",),
    "iam:passedtoservice": ("lambda.amazonaws.com", "ec2.amazonaws.com"),
    "aws:calledvia": ("cloudformation.amazonaws.com", "athena.amazonaws.com"),
    "aws:tagkeys": ("Owner", "Stage"),
    "s3:prefix": ("reports/", "home/alice/"),
    "s3:x-amz-acl": ("private", "public-read"),
    "ec2:instancetype": ("t3.micro", "m5.large"),
}
_PLAIN = ("example", "other", "example-2")


@lru_cache(maxsize=1)
def actions() -> tuple[str, ...]:
    """Well-known actions, as AWS spells them."""
    found: list[str] = []
    service = ""
    for word in _ACTIONS.split():
        if word.endswith(":"):
            service = word
        else:
            found.append(service + word)
    return tuple(found)


def liked_values(key: str, *, plain: bool = True) -> tuple[str, ...]:
    """Values that a condition key (in lower case) often has, then plain words."""
    return _LIKED.get(key, ()) + (_PLAIN if plain else ())


def liked_resources(action: str) -> tuple[str, ...]:
    """ARNs that an action is often asked for."""
    service = action.split(":")[0].lower()
    made = f"arn:aws:{service}:eu-west-1:{ACCOUNT}:example/one"
    return (*_RESOURCES.get(service, (made,)), "arn:aws:s3:::example-bucket/reports/2026.csv")


def liked_words(field: int) -> tuple[str, ...]:
    """Words for a wildcard in a field of an ARN, counted from zero."""
    return {1: ("aws",), 2: ("s3",), 3: ("eu-west-1", "us-east-1", ""), 4: (ACCOUNT, OTHER_ACCOUNT, "")}.get(
        field, ("example", "reports", "one", "")
    )
