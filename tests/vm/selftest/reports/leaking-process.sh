#!/bin/sh
setsid sleep 1000 &
