# What a person or CI runs. Everything else is an npm script or vkctl.
#   make setup   all that is missing: packages, the pinned Node, generated code; nothing when all is there
#   make demo    a cluster of three nodes counts words in one coherent memory, and proves the result
#   make test    every check and test; the last line is "N passed, N failed"
#   make test-long  what takes longer, as by night: soak, chaos, sim, model, litmus, fuzz, bench and scale with more time each (LONG_MINUTES=30)
#   make bench   the measurements, as tables; and as JSON and a page in build/measured, from where make site has them
#   make site    docs/ and the READMEs as a site with search and a reference, in build/site
#   make images  the image of each service, by docker, podman or buildah
#   make k8s-test  the manifests on the cluster that KUBECONFIG names
#   make clean   what the above built or generated, except node_modules
NODE := node_modules/.bin/node

LONG_MINUTES ?= 30

.PHONY: setup demo test test-long bench site images k8s-test clean
.DEFAULT_GOAL := setup

setup:
	@bash bootstrap/setup.sh

demo: setup
	@$(NODE) test/demo/main.ts

test: setup
	@bash bootstrap/test.sh

test-long: setup
	@npm run --silent soak -- --minutes $(LONG_MINUTES)
	@npm run --silent chaos -- --minutes $(LONG_MINUTES)
	@npm run --silent sim -- --steps 20000000
	@npm run --silent model -- --all
	@ODONATA_LONG=1 $(NODE) node_modules/.bin/vitest run test/cluster/litmus.test.ts test/cluster/parking.test.ts test/cluster/images.test.ts test/processes test/fuzz test/machines test/bench test/scale test/languages test/posix test/gateways

bench: setup
	@mkdir -p build/measured
	@npm run --silent bench -- --json build/measured/bench.json --html build/measured/bench.html

site: setup
	@$(NODE) docs/site/build.ts

images:
	@bash bootstrap/images.sh

k8s-test: setup
	@$(NODE) test/manifests/cluster-run.ts

clean:
	rm -rf build libs/proto/gen
