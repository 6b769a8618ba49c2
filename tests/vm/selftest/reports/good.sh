#!/bin/sh
. /lib/vm/case.sh
check "the product is there" test -x /bin/pinfold
exits 3 sh -c 'exit 3'
