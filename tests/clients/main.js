'use strict';
require('./harness').main(process.argv.slice(2));
