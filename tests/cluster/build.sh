# Build programs of Kubernetes from Debian's source package. Runs inside the root of binaries.py; $@: their names.
set -eu
export HOME=/tmp GOCACHE=/gocache GOPATH=/gopath GO111MODULE=off CGO_ENABLED=0 GOPROXY=off GOTOOLCHAIN=local
mkdir -p /gopath/src/k8s.io
mv /source/kubernetes-*/ /gopath/src/k8s.io/kubernetes
cd /gopath/src/k8s.io/kubernetes # -mod=vendor fails with Go 1.19, so this is GOPATH mode

# reflect2 1.0.1 crashes under Go 1.18 and later as soon as a custom resource is applied; Debian has a newer one.
rm -r vendor/github.com/modern-go/reflect2
cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/
# A kubelet without CAP_SYS_RESOURCE may not lower the OOM score of a pod.
sed -i 's/^\(\tdefaultSandboxOOMAdj int = \).*/\10/' pkg/kubelet/dockershim/docker_sandbox.go
sed -i 's/^\(\tguaranteedOOMScoreAdj int = \).*/\10/' pkg/kubelet/qos/policy.go

# The package lacks the generated OpenAPI definitions: generate them from every package that asks for it.
go build -o /tmp/openapi-gen ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
marked=$(grep -rl --include='*.go' '+k8s:openapi-gen=' --exclude-dir=test . | grep -v -e '_test.go' -e '^./_' \
    | xargs -n1 dirname | sort -u \
    | grep -vE '^./(staging/src/k8s.io/(code-generator|sample|kube-aggregator/examples)|vendor/k8s.io/(gengo|kube-openapi|code-generator))' \
    | grep -vE 'crd/apis|sample-' \
    | sed -e 's#^\./staging/src/k8s.io/#k8s.io/kubernetes/vendor/k8s.io/#' -e 's#^\./#k8s.io/kubernetes/#' | sort -u)
touch hack/boilerplate/boilerplate.generatego.txt
/tmp/openapi-gen --go-header-file hack/boilerplate/boilerplate.generatego.txt --logtostderr \
    -i "$(echo $marked | tr ' ' ',')" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    --output-base /gopath/src -r /tmp/violations.report

version=k8s.io/kubernetes/vendor/k8s.io/component-base/version
flags="-s -w -X $version.gitVersion=v1.20.2 -X $version.gitMajor=1 -X $version.gitMinor=20"
for name in "$@"; do
    echo "building $name"
    go build -tags providerless -trimpath -ldflags "$flags" -o "/out/$name" "./cmd/$name"
done
