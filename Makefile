# make demo   a first dub from nothing: environment, weights, a sample shot, the dub and its report
#             make demo VIDEO=shot.mp4 AUDIO=voice.wav does it with your own files
# make test   everything that must hold, on a fresh clone
# make bench  the benchmarks: tables and JSON under benchmarks/
# make check  formatter, linter, type checker; changes nothing

# Spinning threads of one process slow every other one down; sleeping ones do not.
export OMP_WAIT_POLICY := PASSIVE
export OMP_NUM_THREADS ?= 2

.PHONY: demo test bench check setup

demo: setup
	@scripts/demo "$(VIDEO)" "$(AUDIO)"

test: setup check
	@scripts/test

bench: setup
	@.venv/bin/python -m benchmarks

check: setup
	@scripts/check

setup:
	@scripts/setup
