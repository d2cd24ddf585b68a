# What a person or CI runs. Everything else is an npm script or vkctl.
#   make setup   all that is missing: packages, the pinned Node, generated code; nothing when all is there
#   make demo    a cluster of three nodes counts words in one coherent memory, and proves the result
#   make test    every check and test; the last line is "N passed, N failed"
#   make bench   the measurements, as tables and JSON
#   make images  the image of each service, by docker, podman or buildah
#   make k8s-test  the manifests on the cluster that KUBECONFIG names
#   make clean   what the above built or generated, except node_modules
NODE := node_modules/.bin/node

.PHONY: setup demo test bench images k8s-test clean
.DEFAULT_GOAL := setup

setup:
	@bash bootstrap/setup.sh

demo: setup
	@$(NODE) test/demo/main.ts

test: setup
	@bash bootstrap/test.sh

bench: setup
	@npm run --silent bench

images:
	@bash bootstrap/images.sh

k8s-test: setup
	@$(NODE) test/manifests/cluster-run.ts

clean:
	rm -rf build libs/proto/gen
